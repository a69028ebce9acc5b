/**
 * One slider per feature or direction. A slider acts when it is let go, or shortly after the last
 * arrow key; its field takes a number. Marked on the track are the resting value, one sigma of the
 * natural value around 0, and the largest natural value.
 */
import { button, h } from "../shared/dom";
import { typed } from "../shared/format";
import { EMPTY, type Host, type Knob, type Live, type Mode, rest, type Turn } from "./state";
import { inUnit, MODES, natural, sizes, toRaw, turned, UNITS, type Unit, written } from "./words";

const STEPS = 400;
const AFTER_KEYS_MS = 150;
const HANDLE = 11;

export class Knobs {
  readonly el = h("section", { class: "iw-s-knobs", attrs: { "aria-label": "Sliders" } });
  private readonly title = h("b");
  private readonly unit: HTMLSelectElement;
  private readonly add: HTMLButtonElement;
  private readonly drop: HTMLButtonElement;
  private readonly reset: HTMLButtonElement;
  private readonly note = h("span", { class: "iw-s-note" });
  private readonly list = h("div", { class: "iw-s-list" });
  private strips: Strip[] = [];
  private live: Live = EMPTY;
  private off = false;

  constructor(
    private readonly host: Host,
    dose: HTMLElement,
  ) {
    this.unit = h(
      "select",
      {
        class: "iw-input",
        attrs: { "aria-label": "Unit of the numbers" },
        on: { change: () => this.show(this.live, this.off) },
      },
      ...UNITS.map(([value, text]) => h("option", { attrs: { value } }, text)),
    );
    this.reset = button("all to rest", () => host.act("rest"), {
      title: "No slider changes anything",
    });
    this.add = button("another variant", () => host.act("add"), {
      title: "A copy of these sliders, with a text of its own beside this one",
    });
    this.drop = button("remove", () => host.act("drop"), { title: "Removes this variant" });
    this.el.append(
      h(
        "div",
        { class: "iw-s-knobhead" },
        this.title,
        h("label", {}, "in ", this.unit),
        this.reset,
        this.add,
        this.drop,
        this.note,
        dose,
      ),
      this.list,
    );
  }

  show(live: Live, off: boolean): void {
    this.live = live;
    this.off = off;
    const many = live.variants.length > 1;
    const variant = live.variants[live.active];
    this.title.textContent = many && variant ? `Sliders of ${variant.name}` : "Sliders";
    this.drop.hidden = !many;
    this.add.disabled = off || live.variants.length >= 4;
    this.drop.disabled = off;
    this.reset.disabled = off || !variant?.turns.some(turned);
    this.note.textContent = live.problem;
    this.note.title = live.problem;
    this.el.hidden = live.knobs.length === 0;
    const names = live.knobs.map((knob) => knob.name).join("\n");
    if (this.list.dataset.names !== names) {
      this.list.dataset.names = names;
      for (const strip of this.strips) strip.destroy();
      this.strips = live.knobs.map(
        (_, at) =>
          new Strip(
            (mode, value) => this.host.turn(at, mode, value),
            (problem) => {
              this.note.textContent = problem;
            },
          ),
      );
      this.list.replaceChildren(...this.strips.map((strip) => strip.el));
    }
    for (const [at, strip] of this.strips.entries()) {
      const turn = variant?.turns[at] ?? { mode: "add", value: 0 };
      strip.show(live.knobs[at], turn, this.unit.value as Unit, off, live.active);
    }
  }

  /** News from Python must not move what the user holds or has just let go. */
  get held(): boolean {
    return this.strips.some((strip) => strip.held);
  }

  destroy(): void {
    for (const strip of this.strips) strip.destroy();
  }
}

class Strip {
  readonly el: HTMLElement;
  private readonly name = h("span", { class: "iw-s-name" });
  private readonly mode: HTMLSelectElement;
  private readonly slider: HTMLInputElement;
  private readonly field: HTMLInputElement;
  private readonly facts = h("span", { class: "iw-s-sizes" });
  private readonly band = h("i", { class: "iw-s-band" });
  private readonly zero = h("i", { class: "iw-s-zero" });
  private readonly top = h("i", { class: "iw-s-peak" });
  private knob: Knob | null = null;
  private turn: Turn = { mode: "add", value: 0 };
  private wanted: Unit = "sigma";
  private variant = 0;
  private keys = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  held = false;

  constructor(
    private readonly apply: (mode: Mode, value: number) => boolean,
    private readonly refuse: (problem: string) => void,
  ) {
    this.mode = h("select", {
      class: "iw-input",
      on: { change: () => this.changeMode(this.mode.value as Mode) },
    });
    this.slider = h("input", {
      class: "iw-slider",
      attrs: { type: "range", min: 0, max: STEPS, step: 1 },
      on: {
        input: () => {
          this.held = true;
          clearTimeout(this.timer);
          this.preview({ mode: this.turn.mode, value: this.slid });
        },
        change: () => {
          clearTimeout(this.timer);
          // A pointer has let go; keys may follow each other.
          if (this.keys) this.timer = setTimeout(() => this.commit(this.slid), AFTER_KEYS_MS);
          else this.commit(this.slid);
        },
        keydown: () => {
          this.keys = true;
        },
        pointerdown: () => {
          this.keys = false;
        },
        dblclick: () => this.commit(rest(this.turn.mode) ?? 0),
      },
    });
    this.field = h("input", {
      class: "iw-input iw-s-number",
      attrs: { type: "text", inputmode: "decimal", spellcheck: "false" },
      on: {
        focus: () => this.field.select(),
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
    this.el = h(
      "div",
      { class: "iw-s-knob" },
      this.name,
      this.mode,
      h("span", { class: "iw-s-track" }, this.band, this.zero, this.top, this.slider),
      this.field,
      this.facts,
    );
  }

  private get limits(): readonly [number, number] {
    return this.knob?.limits[this.turn.mode] ?? [-1, 1];
  }

  /** Factors have no unit, and what has no size is raw. */
  private get unit(): Unit {
    const { knob, wanted } = this;
    const sized = wanted === "sigma" ? Boolean(knob?.sigma) : knob?.share !== null;
    return this.turn.mode === "scale" || !sized ? "raw" : wanted;
  }

  /** The handle rests exactly: the step next to the resting value is that value. */
  private get slid(): number {
    const [low, high] = this.limits;
    const value = low + (Number(this.slider.value) / STEPS) * (high - low);
    const neutral = rest(this.turn.mode) ?? 0;
    return Math.abs(value - neutral) <= (high - low) / STEPS ? neutral : rounded(value, high - low);
  }

  show(knob: Knob, turn: Turn, unit: Unit, off: boolean, variant: number): void {
    this.knob = knob;
    this.wanted = unit;
    const place = knob.name.endsWith(knob.place) ? "" : knob.place;
    this.name.replaceChildren(h("b", {}, knob.name), " ", h("small", {}, place));
    this.name.title = `${knob.name}, ${knob.place}. ${natural(knob)}`;
    this.el.dataset.knob = knob.name;
    if (this.mode.childElementCount !== knob.modes.length) {
      this.mode.replaceChildren(
        ...knob.modes.map((mode) => h("option", { attrs: { value: mode } }, MODES[mode])),
      );
    }
    this.mode.setAttribute("aria-label", `How ${knob.name} is changed`);
    this.slider.setAttribute("aria-label", `${knob.name}, slider`);
    this.field.setAttribute("aria-label", knob.name);
    for (const el of [this.mode, this.slider, this.field]) el.disabled = off || !knob.ready;
    if (off || variant !== this.variant) this.held = false;
    this.variant = variant;
    if (!this.held) {
      this.turn = turn;
      this.preview(turn);
    }
  }

  private place(value: number): number {
    const [low, high] = this.limits;
    return Math.min(1, Math.max(0, (value - low) / (high - low)));
  }

  private preview(turn: Turn): void {
    const { knob } = this;
    if (!knob) return;
    this.mode.value = turn.mode;
    const text = written(inUnit(turn.value, knob, this.unit));
    if (this.field.ownerDocument.activeElement !== this.field || !this.held) {
      if (this.field.value !== text) this.field.value = text;
    }
    const at = this.place(turn.value);
    const neutral = this.place(rest(turn.mode) ?? 0);
    if (!this.held) this.slider.value = String(Math.round(at * STEPS));
    const [from, to] = [Math.min(at, neutral), Math.max(at, neutral)];
    this.slider.style.setProperty("--iw-from", across(from));
    this.slider.style.setProperty("--iw-to", across(to));
    const unit = UNITS.find(([name]) => name === this.unit)?.[1] ?? "";
    const spoken = turn.mode === "scale" ? `${text} times` : `${text} ${unit}`;
    this.slider.setAttribute("aria-valuetext", spoken);
    this.facts.textContent = sizes(turn, knob, this.unit);
    this.facts.title = this.facts.textContent;
    this.el.classList.toggle("iw-s-turned", turned(turn));
    this.zero.style.left = across(neutral);
    const marked = turn.mode !== "scale" && knob.sigma !== null;
    this.band.hidden = !marked;
    this.top.hidden = !marked || knob.top === null;
    if (knob.sigma === null || !marked) return;
    const [a, b] = [this.place(-knob.sigma), this.place(knob.sigma)];
    this.band.style.left = across(a);
    this.band.style.width = `calc((100% - ${HANDLE}px) * ${(b - a).toFixed(4)})`;
    if (knob.top !== null) this.top.style.left = across(this.place(knob.top));
  }

  private changeMode(mode: Mode): void {
    this.commit(rest(mode) ?? 0, mode);
  }

  private enter(): void {
    const { knob, unit } = this;
    if (!knob || !this.held) return;
    const value = typed(this.field.value);
    const raw = value === null ? null : toRaw(value, knob, unit);
    if (raw === null) {
      this.refuse(`“${this.field.value.slice(0, 20)}” is no number; one such as 2.5 is.`);
      this.release();
    } else this.commit(raw);
  }

  private commit(value: number, mode: Mode = this.turn.mode): void {
    this.held = false;
    const same = value === this.turn.value && mode === this.turn.mode;
    if (!same && this.apply(mode, value)) this.turn = { mode, value };
    this.preview(this.turn);
  }

  private release(): void {
    if (!this.held) return;
    this.held = false;
    this.preview(this.turn);
  }

  destroy(): void {
    clearTimeout(this.timer);
  }
}

/** Where on a slider's length a share of its range is: the handle has a width. */
function across(share: number): string {
  return `calc(${HANDLE / 2}px + (100% - ${HANDLE}px) * ${share.toFixed(4)})`;
}

/** No more digits than the slider has steps. */
function rounded(value: number, range: number): number {
  const digits = Math.max(0, 3 - Math.floor(Math.log10(range)));
  return Number(value.toFixed(Math.min(12, digits)));
}
