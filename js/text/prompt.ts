/**
 * The prompt as running text. Tokens are brushed by a drag, a Shift-click or Shift with the arrow
 * keys, shaded by the features that are selected, and edited in place.
 */
import { button, h } from "../shared/dom";
import { marked, visible } from "../shared/format";
import type { Shade } from "./rank";

export interface PromptPort {
  /** While a drag lasts, `done` is false. */
  brush(tokens: readonly number[], done: boolean): void;
  hover(token: number | null): void;
  run(prompt: string): void;
}

export class Prompt {
  readonly el: HTMLElement;
  private readonly text = h("div", {
    class: "iw-x-text",
    attrs: {
      role: "listbox",
      "aria-multiselectable": "true",
      "aria-label": "Tokens of the prompt",
      dir: "ltr",
    },
  });
  private readonly edit: HTMLButtonElement;
  private readonly field = h("textarea", {
    class: "iw-input iw-x-field",
    attrs: { "aria-label": "Prompt", spellcheck: "false", hidden: true },
  });
  private readonly keys = h("span", { class: "iw-x-soft", attrs: { hidden: true } });
  private tokens: readonly string[] = [];
  private els: HTMLElement[] = [];
  private marks: HTMLElement[] = [];
  private looks: string[] = [];
  private brushed: readonly number[] = [];
  private prompt = "";
  private anchor = 0;
  private focus = 0;
  private dragging = false;

  constructor(
    private readonly port: PromptPort,
    signal: AbortSignal,
  ) {
    this.edit = button("edit", () => this.open(), { title: "Write another prompt; Enter runs it" });
    this.keys.textContent = "Enter runs it, Shift+Enter is a new line, Escape leaves it";
    this.el = h(
      "section",
      { class: "iw-x-prompt", attrs: { "aria-label": "Prompt" } },
      this.text,
      this.field,
      h("div", { class: "iw-x-side" }, this.keys, this.edit),
    );
    this.text.addEventListener("pointerdown", (event) => this.pressed(event));
    this.text.addEventListener("pointerover", (event) => {
      const at = this.at(event);
      this.port.hover(at);
      if (this.dragging && at !== null) this.extend(at, false);
    });
    this.text.addEventListener("pointerleave", () => this.port.hover(null));
    this.text.addEventListener("keydown", (event) => this.typed(event));
    this.text.addEventListener("focusin", (event) => this.port.hover(this.at(event)));
    this.text.addEventListener("focusout", () => this.port.hover(null));
    globalThis.addEventListener("pointerup", () => this.dropped(), { signal });
    globalThis.addEventListener("pointercancel", () => this.dropped(), { signal });
    this.field.addEventListener("keydown", (event) => this.inField(event));
  }

  /** special: so many tokens stand in front of the text. */
  setTokens(tokens: readonly string[], special: number, prompt: string): void {
    this.prompt = prompt;
    if (tokens.length === this.tokens.length && tokens.every((t, at) => t === this.tokens[at])) {
      return;
    }
    this.tokens = tokens;
    this.focus = Math.min(special, tokens.length - 1);
    this.anchor = this.focus;
    this.dragging = false;
    this.els = [];
    this.marks = [];
    this.looks = [];
    this.text.replaceChildren();
    for (const [at, token] of tokens.entries()) {
      const shown = visible(token);
      // The blank in front of a word belongs to the token and not to the mark.
      const blank = /^ +(?=\S)/.exec(shown)?.[0] ?? "";
      const word = shown.trim() === "" ? marked(token) || "·" : shown.slice(blank.length);
      const mark = h("span", { class: "iw-x-mark" }, word);
      const el = h(
        "span",
        {
          class: `iw-x-token${at < special ? " iw-x-special" : ""}`,
          attrs: {
            role: "option",
            "aria-selected": "false",
            "aria-label": word,
            tabindex: at === this.focus ? 0 : -1,
            "data-at": at,
          },
        },
        blank,
        mark,
      );
      this.els.push(el);
      this.marks.push(mark);
      this.text.append(el);
      if (token.includes("\n")) this.text.append(h("br"));
      if (at === special - 1) this.text.append(" ");
    }
  }

  show(brushed: readonly number[], shades: readonly Shade[], hover: number | null): void {
    this.brushed = brushed;
    const on = new Set(brushed);
    for (const [at, el] of this.els.entries()) {
      const { alpha, negative } = shades[at] ?? { alpha: 0, negative: false };
      // Never too dark to read.
      const shown = (alpha > 0 ? 0.06 + 0.6 * alpha : 0).toFixed(3);
      const look = `${shown} ${alpha > 0 && negative} ${on.has(at)} ${at === hover}`;
      if (look === this.looks[at]) continue; // elements are slow to touch
      this.looks[at] = look;
      el.classList.toggle("iw-x-brushed", on.has(at));
      el.classList.toggle("iw-x-pointed", at === hover);
      el.setAttribute("aria-selected", String(on.has(at)));
      const mark = this.marks[at];
      mark.classList.toggle("iw-x-neg", alpha > 0 && negative);
      mark.style.setProperty("--iw-alpha", shown);
    }
  }

  /** Scrolls the text, and nothing around it. */
  reveal(at: number): void {
    const [el, { text }] = [this.els[at], this];
    if (!el) return;
    const [top, bottom] = [el.offsetTop - text.offsetTop, el.offsetTop - text.offsetTop + 24];
    if (top < text.scrollTop) text.scrollTop = top;
    else if (bottom > text.scrollTop + text.clientHeight) {
      text.scrollTop = bottom - text.clientHeight;
    }
  }

  /** Nobody can run another prompt. */
  setFixed(): void {
    this.edit.remove();
  }

  // --- brushing ------------------------------------------------------------------------------

  private at(event: Event): number | null {
    const el = (event.target as HTMLElement).closest<HTMLElement>("[data-at]");
    return el ? Number(el.dataset.at) : null;
  }

  private pressed(event: PointerEvent): void {
    const at = this.at(event);
    if (at === null || event.button !== 0) return;
    event.preventDefault(); // no selection of letters
    this.moveTo(at);
    if (event.shiftKey) this.extend(at, true);
    else if (event.ctrlKey || event.metaKey) this.toggle(at);
    else {
      this.dragging = true;
      const again = this.brushed.length === 1 && this.brushed[0] === at;
      this.anchor = at;
      if (again) {
        this.dragging = false;
        this.port.brush([], true);
      } else this.port.brush([at], false);
    }
  }

  private dropped(): void {
    if (!this.dragging) return;
    this.dragging = false;
    this.port.brush(this.brushed, true);
  }

  private extend(to: number, done: boolean): void {
    const [low, high] = this.anchor < to ? [this.anchor, to] : [to, this.anchor];
    this.port.brush(range(low, high), done);
  }

  private toggle(at: number): void {
    this.anchor = at;
    const without = this.brushed.filter((each) => each !== at);
    const with_ = without.length < this.brushed.length ? without : [...this.brushed, at];
    this.port.brush(
      with_.sort((a, b) => a - b),
      true,
    );
  }

  private moveTo(at: number): void {
    this.els[this.focus]?.setAttribute("tabindex", "-1");
    this.focus = at;
    this.els[at]?.setAttribute("tabindex", "0");
    this.els[at]?.focus({ preventScroll: true });
    this.reveal(at);
  }

  private typed(event: KeyboardEvent): void {
    const last = this.els.length - 1;
    const to = {
      ArrowLeft: Math.max(0, this.focus - 1),
      ArrowRight: Math.min(last, this.focus + 1),
      Home: 0,
      End: last,
    }[event.key];
    if (to !== undefined) {
      if (event.shiftKey && !this.brushed.includes(this.focus)) this.anchor = this.focus;
      this.moveTo(to);
      if (event.shiftKey) this.extend(to, true);
    } else if (event.key === "Enter" || event.key === " ") {
      if (event.ctrlKey || event.metaKey || event.shiftKey) this.toggle(this.focus);
      else {
        this.anchor = this.focus;
        const again = this.brushed.length === 1 && this.brushed[0] === this.focus;
        this.port.brush(again ? [] : [this.focus], true);
      }
    } else return;
    event.preventDefault();
  }

  // --- editing -------------------------------------------------------------------------------

  private open(): void {
    this.field.value = this.prompt;
    this.showField(true);
    this.field.focus();
    this.field.select();
  }

  private showField(on: boolean): void {
    this.field.hidden = !on;
    this.keys.hidden = !on;
    this.text.hidden = on;
    this.edit.hidden = on;
  }

  private inField(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      event.stopPropagation();
      this.showField(false);
      this.edit.focus();
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.showField(false);
      this.edit.focus();
      this.port.run(this.field.value);
    }
  }
}

export function range(low: number, high: number): number[] {
  return Array.from({ length: high - low + 1 }, (_, i) => low + i);
}
