/**
 * The features as they form: a list with the strongest example of each, and one of them opened.
 * The list holds still while a pointer or the keyboard is in it.
 */
import { button, type Child, h } from "../shared/dom";
import { exampleLine, strongest, triggerName } from "../shared/example";
import { count, plural } from "../shared/format";
import type { Detail, Features, Host, Order, Row } from "./state";
import { amount, often } from "./words";

const PAGE = 24;
/** Around the trigger; so few before it that it stands on the narrowest list. */
const LETTERS = [16, 30] as const;
const ORDERS: readonly (readonly [Order, string])[] = [
  ["active", "most active"],
  ["newest", "newest alive"],
  ["number", "by number"],
];

export class FeatureList {
  readonly el = h("aside", { class: "iw-t-side", attrs: { "aria-label": "Features" } });
  private readonly order: HTMLSelectElement;
  private readonly number: HTMLInputElement;
  private readonly facts = h("div", { class: "iw-t-facts" });
  private readonly list = h("ul", { class: "iw-rows" });
  private readonly more: HTMLButtonElement;
  private readonly listBox: HTMLElement;
  private readonly detailBox = h("div", { class: "iw-t-detail", attrs: { hidden: true } });
  private features: Features | null = null;
  private waiting: Features | null = null;
  private pointed = false;
  private showing = "";

  constructor(private readonly host: Host) {
    this.order = h(
      "select",
      {
        class: "iw-input",
        attrs: { "aria-label": "Order of the list" },
        on: {
          change: () => {
            this.list.scrollTop = 0;
            host.choose({ order: this.order.value as Order, rows: PAGE });
          },
        },
      },
      ...ORDERS.map(([value, text]) => h("option", { attrs: { value } }, text)),
    );
    this.number = h("input", {
      class: "iw-input iw-t-number",
      attrs: {
        type: "text",
        inputmode: "numeric",
        placeholder: "number",
        "aria-label": "Open a feature by its number",
      },
      on: {
        keydown: (event) => {
          if (event.key !== "Enter") return;
          const wanted = Number(this.number.value);
          const size = this.features?.size ?? 0;
          const fits = this.number.value.trim() !== "" && Number.isInteger(wanted) && wanted >= 0;
          if (fits && wanted < size) this.open(wanted);
          else
            this.facts.textContent = `Features are numbered 0 to ${count(Math.max(0, size - 1))}.`;
        },
      },
    });
    this.more = button(
      "more",
      () => host.choose({ rows: (this.features?.rows.length ?? 0) + PAGE }),
      {
        class: "iw-strong",
      },
    );
    this.listBox = h(
      "div",
      { class: "iw-t-listbox" },
      h("div", { class: "iw-t-listhead" }, h("b", {}, "Features"), this.order, this.number),
      this.facts,
      this.list,
    );
    this.el.append(this.listBox, this.detailBox);
    this.list.addEventListener("pointerenter", () => {
      this.pointed = true;
    });
    this.list.addEventListener("pointerleave", () => {
      this.pointed = false;
      this.catchUp();
    });
    this.list.addEventListener("focusout", () => queueMicrotask(() => this.catchUp()));
    this.detailBox.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  private get still(): boolean {
    const root = this.list.getRootNode() as Document | ShadowRoot;
    return this.pointed || this.list.contains(root.activeElement);
  }

  show(features: Features | null): void {
    const asked =
      features?.name !== this.features?.name ||
      features?.order !== this.features?.order ||
      features?.rows.length !== this.features?.rows.length;
    if (features && this.still && !asked) {
      this.waiting = features;
      return;
    }
    this.waiting = null;
    this.features = features;
    this.render();
  }

  private catchUp(): void {
    if (this.waiting && !this.still) this.show(this.waiting);
  }

  private render(): void {
    const { features } = this;
    if (!features) {
      this.facts.textContent = "Features appear here once the training has taken its first steps.";
      return;
    }
    this.order.value = features.order;
    const on = features.tokens > 0 ? `${amount(features.tokens)} tokens` : "no tokens yet";
    this.facts.textContent =
      features.tokens > 0
        ? `${count(features.alive)} of ${plural(features.size, "feature")} fired on ${on}`
        : "Nothing has fired yet: the first steps are to come.";
    const items = features.rows.map((row) => h("li", {}, this.rowButton(row)));
    const rest =
      features.order === "number"
        ? features.size - features.start - features.rows.length
        : features.alive - features.rows.length;
    if (rest > 0 && features.rows.length > 0) {
      this.more.textContent = `+${count(rest)} more`;
      items.push(h("li", {}, this.more));
    }
    const { scrollTop } = this.list;
    this.list.replaceChildren(...items);
    this.list.scrollTop = scrollTop;
  }

  private rowButton(row: Row): HTMLElement {
    const [example] = row.examples;
    const parts: Child[] = [
      h(
        "span",
        { class: "iw-t-rowhead" },
        h("span", { class: "iw-t-id" }, String(row.feature)),
        h("span", { class: "iw-t-name" }, triggerName(example)),
        h("span", { class: "iw-t-often" }, often(row.density)),
      ),
      example
        ? exampleLine(example, strongest([example]), LETTERS)
        : h("span", { class: "iw-text iw-t-none" }, "has not fired yet"),
    ];
    const el = button("", () => this.open(row.feature), {
      class: `iw-rowbutton iw-t-row${row.density > 0 ? "" : " iw-t-dead"}`,
      attrs: { "data-feature": row.feature },
    });
    el.replaceChildren(...(parts.filter(Boolean) as Node[]));
    return el;
  }

  private open(feature: number): void {
    this.host.choose({ opened: feature });
  }

  private close(): void {
    this.host.choose({ opened: null });
  }

  showDetail(detail: Detail | null): void {
    const wasOpen = !this.detailBox.hidden;
    const opened = detail?.row.feature;
    this.listBox.hidden = detail !== null;
    this.detailBox.hidden = detail === null;
    if (!detail) {
      this.detailBox.replaceChildren();
      if (wasOpen)
        this.list.querySelector<HTMLElement>(`[data-feature="${this.showing}"]`)?.focus();
      return;
    }
    const { row, tokens } = detail;
    const same = this.showing === String(opened) && wasOpen;
    this.showing = String(opened);
    const top = strongest(row.examples);
    const body = h(
      "ol",
      {
        class: "iw-rows iw-t-examples",
        attrs: { "aria-label": "Examples, strongest first", tabindex: 0 },
      },
      ...row.examples.map((example) =>
        h(
          "li",
          { title: `strongest activation here ${example.activations[example.trigger] ?? 0}` },
          exampleLine(example, top, null),
        ),
      ),
    );
    const before = this.detailBox.querySelector(".iw-t-examples")?.scrollTop ?? 0;
    const rare = `It did not fire on the last ${amount(tokens)} tokens: dead, as far as they tell.`;
    const fires = `fires on ${often(row.density)} of ${amount(tokens)} tokens`;
    const facts = row.density > 0 ? fires : rare;
    const number = h(
      "div",
      { class: "iw-t-facts" },
      row.examples.length > 0
        ? `${facts}; ${plural(row.examples.length, "example")}, strongest first`
        : facts,
    );
    if (same) {
      // Buttons stay, so that the focus does.
      this.detailBox.querySelector(".iw-t-facts")?.replaceWith(number);
      this.detailBox.querySelector(".iw-t-examples")?.replaceWith(body);
      body.scrollTop = before;
      return;
    }
    const last = (this.features?.size ?? 1) - 1;
    const back = button("back", () => this.close(), { class: "iw-strong" });
    const previous = button("−1", () => this.open(row.feature - 1), {
      title: "The feature with the number before",
    });
    const next = button("+1", () => this.open(row.feature + 1), {
      title: "The feature with the next number",
    });
    previous.disabled = row.feature === 0;
    next.disabled = row.feature >= last;
    this.detailBox.replaceChildren(
      h(
        "div",
        { class: "iw-t-listhead" },
        h("b", { class: "iw-t-open" }, `feature ${row.feature}`),
        h("span", { class: "iw-t-name" }, triggerName(row.examples[0])),
        h("span", { class: "iw-t-steps" }, previous, next, back),
      ),
      number,
      body,
    );
    back.focus({ preventScroll: true });
  }
}
