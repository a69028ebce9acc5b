/** What the selection does: effect, control, single and joint, next tokens, text. */
import { button, type Child, h } from "../shared/dom";
import { minus, number } from "../shared/format";
import { strip, texts, tokenTable } from "./consequences";
import type { Live, Metric, Result } from "./state";
import { parsePart } from "./state";
import { controlsText, effect, itemName, partPlace, share, together, withUnit } from "./words";

const N = 20;
const STRONGEST = 7;

/** What the panel shows; `known` holds effects that the heatmaps have already. */
export interface Shown {
  readonly live: Live;
  readonly selected: readonly string[];
  readonly result: Result | null;
  readonly known: readonly number[];
  /** The strongest marks of the heatmap on screen. */
  readonly strongest: readonly (readonly [id: string, value: number])[];
  readonly offline: boolean;
}

export class Panel {
  readonly el = h("aside", { class: "iw-a-side", attrs: { "aria-label": "Selection" } });
  private drawn = "";

  constructor(
    private readonly select: (ids: readonly string[]) => void,
    private readonly toggle: (id: string) => void,
  ) {}

  show(shown: Shown): void {
    // News about heatmaps must not take the focus from what did not change here.
    const key = JSON.stringify([shown, shown.live.metric]);
    if (key === this.drawn) return;
    this.drawn = key;
    const root = this.el.getRootNode() as Document | ShadowRoot;
    const focused = (root.activeElement as HTMLElement | null)?.dataset?.key;
    this.el.replaceChildren(...this.parts(shown).filter((part) => part !== null));
    if (focused) {
      [...this.el.querySelectorAll<HTMLElement>("[data-key]")]
        .find((el) => el.dataset.key === focused)
        ?.focus({ preventScroll: true });
    }
  }

  private parts(shown: Shown): (HTMLElement | null)[] {
    const { selected, live } = shown;
    const given = live.given.length > 0 ? this.given(shown) : null;
    if (live.state === "empty") return [];
    if (selected.length === 0) return [given, this.invitation(shown), this.strongest(shown)];
    const metric = live.metric;
    return [
      given,
      selected.length === 1 ? this.one(shown) : this.several(shown),
      metric ? this.control(shown, metric) : null,
      ...this.consequences(shown),
    ];
  }

  private given(shown: Shown): HTMLElement {
    return h(
      "div",
      { class: "iw-a-given", attrs: { role: "group", "aria-label": "Given" } },
      h("span", { class: "iw-a-soft" }, "given"),
      ...shown.live.given.map(({ id, title }) =>
        button(id, () => this.toggle(id), {
          class: "iw-a-chip",
          title,
          attrs: { "aria-pressed": String(shown.selected.includes(id)), "data-key": `given ${id}` },
        }),
      ),
    );
  }

  private invitation({ live }: Shown): HTMLElement {
    return h(
      "p",
      { class: "iw-a-hint" },
      "Click a mark to see what it does. Shift-click adds another, to see them together; ",
      live.panels.length > 0 ? "a click on a layer or on a token takes all of it." : "",
    );
  }

  private strongest({ live, strongest }: Shown): HTMLElement | null {
    const { metric } = live;
    if (!metric || strongest.length === 0) return null;
    const most = Math.max(...strongest.map(([, value]) => Math.abs(value)), 1e-12);
    return h(
      "div",
      {},
      h("h4", {}, "strongest in this heatmap"),
      ...strongest.slice(0, STRONGEST).map(([id, value]) =>
        this.row(itemName(id, live), value, most, metric, {
          onClick: () => this.select([id]),
          key: `strong ${id}`,
        }),
      ),
    );
  }

  /** Name, bar, number: a button where a click does something. */
  private row(
    name: string,
    value: number,
    most: number,
    metric: Metric,
    options: { onClick?: () => void; key?: string; extra?: Child; title?: string } = {},
  ): HTMLElement {
    const known = Number.isFinite(value);
    const width = known ? Math.sqrt(Math.abs(value) / most) : 0;
    const label = options.onClick
      ? button(name, options.onClick, {
          class: "iw-a-name",
          attrs: { "data-key": options.key ?? name },
        })
      : h("span", { class: "iw-a-name" }, name);
    return h(
      "div",
      { class: "iw-a-item", title: options.title ?? name },
      label,
      h("i", {
        class: `iw-a-bar ${value < 0 ? "iw-a-neg" : "iw-a-pos"}`,
        attrs: { "aria-hidden": "true" },
        style: { width: `${(48 * Math.min(1, width)).toFixed(1)}px` },
      }),
      h("span", { class: "iw-a-number" }, known ? effect(value, metric.scale) : "…"),
      options.extra ?? null,
    );
  }

  private one({ live, selected, result, known }: Shown): HTMLElement {
    const [id] = selected;
    const { metric } = live;
    const part = parsePart(id);
    const value = result?.effect?.joint ?? known[0];
    const title = live.given.find((each) => each.id === id)?.title ?? "";
    return h(
      "div",
      { class: "iw-a-one" },
      h(
        "div",
        { class: "iw-a-headline" },
        h("b", { class: "iw-a-selected" }, itemName(id, live)),
        h("span", { class: "iw-a-soft" }, part ? partPlace(part) : ""),
        button("clear", () => this.select([]), {
          attrs: { "data-key": "clear" },
          title: "Select nothing (Escape)",
        }),
      ),
      title && title !== id ? h("div", { class: "iw-a-soft" }, title) : null,
      metric ? this.figure(value, metric, live, result) : null,
    );
  }

  private figure(value: number, metric: Metric, live: Live, result: Result | null): HTMLElement {
    if (!Number.isFinite(value)) {
      const failed = result?.stage === "failed";
      return h("div", { class: "iw-a-waiting" }, failed ? result.message : "measuring …");
    }
    const [before, after] = [metric.base, metric.base + value].map((v) => minus(number(v)));
    const way = share(value, metric, live);
    return h(
      "div",
      {},
      h(
        "div",
        { class: "iw-a-figure" },
        h(
          "span",
          { class: value < 0 ? "iw-a-neg" : "iw-a-pos" },
          withUnit(effect(value, metric.scale), metric.unit),
        ),
        h("span", { class: "iw-a-soft" }, `${before} → ${after}`),
      ),
      way ? h("div", { class: "iw-a-soft" }, way) : null,
    );
  }

  private several({ live, selected, result, known }: Shown): HTMLElement {
    const { metric } = live;
    const singles = selected.map((_, at) => result?.effect?.singles[at] ?? known[at]);
    const done = result?.effect ?? null;
    const all = [...singles, done?.joint ?? 0, done?.sum ?? 0].filter(Number.isFinite);
    const most = Math.max(...all.map(Math.abs), 1e-12);
    const failed = result?.stage === "failed" && !done;
    return h(
      "div",
      { class: "iw-a-several" },
      h(
        "div",
        { class: "iw-a-headline" },
        h("b", { class: "iw-a-selected" }, `${selected.length} selected`),
        button("clear", () => this.select([]), {
          attrs: { "data-key": "clear" },
          title: "Select nothing (Escape)",
        }),
      ),
      ...(metric
        ? [
            ...selected.map((id, at) =>
              this.row(itemName(id, live), singles[at], most, metric, {
                extra: button("remove", () => this.toggle(id), {
                  class: "iw-a-remove",
                  attrs: {
                    "data-key": `remove ${id}`,
                    "aria-label": `remove ${itemName(id, live)}`,
                  },
                }),
              }),
            ),
            h("hr", {}),
            this.row("one by one, added up", done?.sum ?? Number.NaN, most, metric),
            this.row("all together", done?.joint ?? Number.NaN, most, metric),
          ]
        : []),
      failed ? h("div", { class: "iw-a-waiting" }, result.message) : null,
      done?.controls
        ? h("div", { class: "iw-a-soft" }, together(done.sum, done.joint, done.controls))
        : null,
      done && metric ? this.figure(done.joint, metric, live, result) : null,
    );
  }

  private control({ result, offline }: Shown, metric: Metric): HTMLElement | null {
    const done = result?.effect;
    if (!done) return null;
    const { controls } = done;
    return h(
      "div",
      { class: "iw-a-control" },
      controls ? strip(done, controls) : null,
      h(
        "div",
        { class: "iw-a-soft" },
        controls
          ? `${controls.n} random changes as large: ${controlsText(controls, metric.scale)}`
          : offline
            ? "The controls were not measured."
            : `measuring ${N} random changes as large …`,
      ),
    );
  }

  private consequences(shown: Shown): (HTMLElement | null)[] {
    const { result, offline } = shown;
    const done = result?.effect;
    if (!done || !result) return [rest(shown)];
    const pending = offline ? null : h("div", { class: "iw-a-soft" }, "writing …");
    return [
      h("h4", {}, "next token"),
      tokenTable(done.tokens),
      h("h4", {}, "text, always the likeliest token"),
      result.text ? texts(result.text, result.message) : pending,
    ];
  }
}

/** What is said where the heatmap knows the effect and nothing else is measured. */
function rest({ result, offline, known, selected }: Shown): HTMLElement | null {
  if (selected.length === 1 && !Number.isFinite(known[0])) return null; // said in its place
  const text = offline
    ? "Controls, next tokens and text were not measured."
    : result?.stage === "failed"
      ? result.message
      : "measuring controls, next tokens and text …";
  return h("div", { class: "iw-a-soft iw-a-control" }, text);
}
