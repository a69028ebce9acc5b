/**
 * Learning rate, k, sparsity: a field and a slider each. A slider applies when it is let go, or
 * shortly after the last arrow key; what was applied is said, from which step on, with a way back.
 */
import { button, h } from "../shared/dom";
import { typed } from "../shared/format";
import { type Change, EMPTY, type Host, type Live, running } from "./state";
import { changeSentence, fromSlider, plain, SETTING, toSlider } from "./words";

const STEPS = 200;
const AFTER_KEYS_MS = 600;

const TITLES: Readonly<Record<string, string>> = {
  lr: "The peak learning rate, which warm-up and decay scale",
  k: "How many features may be active on a token",
  sparsity: "How much the sparsity term of the loss weighs",
};

export class Settings {
  readonly el = h("div", {
    class: "iw-t-settings",
    attrs: { role: "group", "aria-label": "Settings" },
  });
  private readonly news = h("span", { class: "iw-t-news" });
  private readonly back = h("span", { class: "iw-t-back" });
  private readonly all = h("input", { attrs: { type: "checkbox" } });
  private readonly allBox = h("label", { class: "iw-t-all" }, this.all);
  private readonly allText = h("span");
  private fields = new Map<string, Field>();
  private problem = "";
  private live: Live = EMPTY;
  private on = false;

  constructor(private readonly host: Host) {
    this.allBox.append(this.allText);
    this.el.append(this.allBox, this.news, this.back);
  }

  show(live: Live, offline: boolean): void {
    this.live = live;
    this.on = running(live.state) && !offline;
    const names = Object.keys(live.settings);
    if (names.join() !== [...this.fields.keys()].join()) this.make(names);
    for (const [name, field] of this.fields) {
      field.show(live.settings[name], live.limits[name] ?? [1, 1000], live.pending[name], !this.on);
    }
    this.allBox.hidden = live.dictionaries.length < 2 || !this.on;
    this.allText.textContent = `for all ${live.dictionaries.length}`;
    this.el.hidden = names.length === 0;
    this.tell();
  }

  private make(names: readonly string[]): void {
    for (const field of this.fields.values()) field.el.remove();
    this.fields = new Map(
      names.map((name) => [
        name,
        new Field(name, {
          apply: (value) => this.apply(name, value),
          refuse: (problem) => {
            this.problem = problem;
            this.tell();
          },
        }),
      ]),
    );
    this.el.prepend(...[...this.fields.values()].map((field) => field.el));
  }

  private apply(what: string, value: number): void {
    this.problem = "";
    this.host.change(what, value, this.all.checked && !this.allBox.hidden);
  }

  /** One line: a problem before what waits, what waits before what was applied last. */
  private tell(): void {
    const { live } = this;
    const problem = this.problem || live.problem;
    const [waiting] = Object.entries(live.pending);
    const last = live.changes.at(-1);
    const key = JSON.stringify([problem, waiting, last, this.on, live.state]);
    if (this.news.dataset.key === key) return;
    this.news.dataset.key = key;
    this.news.classList.toggle("iw-t-problem", problem !== "");
    if (problem) this.news.replaceChildren(problem);
    else if (waiting) {
      const when = live.state === "paused" ? "when the training goes on" : "with the next step";
      this.news.replaceChildren(
        `${SETTING[waiting[0]] ?? waiting[0]} ${plain(waiting[1])} applies ${when}`,
      );
    } else this.news.replaceChildren(last ? changeSentence(last) : "");
    this.back.replaceChildren(...(last && !waiting && !problem ? this.undo(last) : []));
    this.news.title = this.news.textContent ?? "";
  }

  private undo(last: Change): Node[] {
    if (!this.on) return [];
    const back = button("undo", () => this.apply(last.what, last.old), {
      class: "iw-strong",
      title: `Back to ${plain(last.old)}, from the next step on`,
    });
    return [back];
  }

  destroy(): void {
    for (const field of this.fields.values()) field.destroy();
  }
}

class Field {
  readonly el: HTMLElement;
  private readonly input: HTMLInputElement;
  private readonly slider: HTMLInputElement;
  private readonly whole: boolean;
  private value = Number.NaN;
  private limits: readonly [number, number] = [1, 10];
  /** The user is at it: news from the kernel must not move it. */
  private held = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly name: string,
    private readonly to: { apply(value: number): void; refuse(problem: string): void },
  ) {
    this.whole = name === "k";
    const label = SETTING[name] ?? name;
    this.input = h("input", {
      class: "iw-input iw-t-number",
      attrs: { type: "text", inputmode: "decimal", "aria-label": label, spellcheck: "false" },
      on: {
        focus: () => this.input.select(),
        input: () => {
          this.held = true;
        },
        change: () => this.enter(),
        keydown: (event) => {
          if (event.key === "Escape") this.release();
          else if (event.key === "Enter") this.enter();
        },
        blur: () => this.release(),
      },
    });
    this.slider = h("input", {
      class: "iw-slider",
      attrs: { type: "range", min: 0, max: STEPS, step: 1, "aria-label": `${label}, slider` },
      on: {
        input: () => {
          this.held = true;
          clearTimeout(this.timer);
          this.preview(this.slid);
        },
        change: () => {
          // A pointer has let go; keys may follow each other.
          clearTimeout(this.timer);
          this.timer = setTimeout(() => this.commit(this.slid), this.keys ? AFTER_KEYS_MS : 0);
        },
        keydown: () => {
          this.keys = true;
        },
        pointerdown: () => {
          this.keys = false;
        },
      },
    });
    this.el = h(
      "span",
      { class: "iw-t-setting", title: TITLES[name] ?? "", attrs: { "data-setting": name } },
      h("span", { class: "iw-t-label" }, label),
      this.input,
      this.slider,
    );
  }

  private keys = false;

  private get slid(): number {
    return fromSlider(Number(this.slider.value) / STEPS, this.limits, this.whole);
  }

  show(
    value: number,
    limits: readonly [number, number],
    pending: number | undefined,
    off: boolean,
  ): void {
    this.value = value;
    this.limits = limits;
    this.input.disabled = off;
    this.slider.disabled = off;
    this.el.classList.toggle("iw-t-waiting", pending !== undefined);
    if (off) this.held = false;
    if (!this.held) this.preview(pending ?? value);
  }

  private preview(value: number): void {
    const text = plain(value);
    if (this.input.value !== text) this.input.value = text;
    const at = toSlider(value, this.limits);
    if (!this.held) this.slider.value = String(Math.round(at * STEPS));
    this.slider.style.setProperty("--iw-fill", `${(100 * at).toFixed(1)}%`);
    this.slider.setAttribute("aria-valuetext", text);
  }

  private enter(): void {
    const value = typed(this.input.value);
    if (value === null) {
      this.to.refuse(
        `“${this.input.value.slice(0, 20)}” is no number; one such as ${plain(this.value)} is.`,
      );
      this.release();
    } else if (this.whole && !Number.isInteger(value)) {
      this.to.refuse(`${this.name} is a whole number, not ${this.input.value}.`);
      this.release();
    } else this.commit(value);
  }

  private commit(value: number): void {
    this.held = false;
    if (value === this.value) this.preview(value);
    else this.to.apply(value);
  }

  private release(): void {
    this.held = false;
    this.preview(this.value);
  }

  destroy(): void {
    clearTimeout(this.timer);
  }
}
