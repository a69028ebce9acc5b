/**
 * Type and see it fire: the text goes to the kernel after a short pause, or at once with Enter; its
 * tokens come back shaded, on the scale of the examples, so that a faint shade is a faint response.
 */
import { h } from "../shared/dom";
import { strongest, tokenParts } from "../shared/example";
import { marked, number, visible } from "../shared/format";
import type { FiringShown } from "./state";

const PAUSE_MS = 250;
export const LONGEST_TEXT = 4000;

export class TestText {
  readonly el: HTMLElement;
  readonly field: HTMLTextAreaElement;
  private readonly tokens = h("div", {
    class: "iw-text iw-c-fired",
    attrs: { hidden: true, dir: "ltr", role: "group", "aria-label": "Activation on each token" },
  });
  private readonly said = h("p", { class: "iw-c-soft", attrs: { "aria-live": "polite" } });
  private timer: ReturnType<typeof setTimeout> | undefined;
  private sent: string | null = null;
  private firing: FiringShown | null = null;
  private top = 0;
  private indexed = false;
  private unable = "";

  constructor(
    private readonly send: (text: string) => void,
    signal: AbortSignal,
  ) {
    this.field = h("textarea", {
      class: "iw-input iw-c-test",
      attrs: {
        rows: 1,
        maxlength: LONGEST_TEXT,
        spellcheck: false,
        placeholder: "type a text and see it fire",
        "aria-label": "Test text",
      },
      on: {
        input: () => {
          clearTimeout(this.timer);
          this.timer = setTimeout(() => this.ask(), PAUSE_MS);
        },
        keydown: (event) => {
          if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            this.ask();
          }
        },
      },
    });
    this.el = h("div", { class: "iw-c-testbox" }, this.field, this.tokens, this.said);
    this.tokens.addEventListener("pointerover", (event) => this.point(event.target));
    this.tokens.addEventListener("pointerleave", () => this.say());
    this.tokens.addEventListener("focusin", (event) => this.point(event.target));
    this.tokens.addEventListener("keydown", (event) => this.step(event));
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  get text(): string {
    return this.field.value;
  }

  /** Put a text into the field and try it. */
  copy(text: string): void {
    this.field.value = text.slice(0, LONGEST_TEXT);
    if (this.unable) return;
    this.ask();
    this.field.focus({ preventScroll: true });
  }

  /** Shown again, as when another feature is opened with the same text; nothing is sent. */
  keep(text: string): void {
    this.field.value = text;
    this.sent = text.trim() === "" ? null : text;
  }

  setUnable(sentence: string): void {
    this.unable = sentence;
    this.field.disabled = sentence !== "";
    this.say();
  }

  /** top: the strongest activation of the index, 0 where there is none. */
  show(firing: FiringShown | null, top: number): void {
    if (firing === this.firing && top === this.top) return;
    this.indexed = top > 0;
    this.firing = firing;
    this.top = top;
    // While one runs, what was there stays; where one cannot be run, it would be taken for its tokens.
    if (firing?.state !== "computing") this.draw();
    this.tokens.classList.toggle("iw-c-waiting", firing?.state === "computing");
    this.say();
  }

  private ask(): void {
    clearTimeout(this.timer);
    const { text } = this;
    if (text === this.sent || this.unable) return;
    this.sent = text;
    this.send(text);
  }

  private draw(): void {
    const { firing } = this;
    this.tokens.hidden = firing?.state !== "done" || firing.tokens.length === 0;
    if (firing?.state !== "done") {
      this.tokens.replaceChildren();
      return;
    }
    const scale = Math.max(this.top, strongest([firing]));
    const peak = peakOf(firing.activations);
    this.tokens.replaceChildren(
      ...firing.tokens.map((token, at) =>
        h(
          "span",
          {
            class: "iw-c-token",
            attrs: { "data-at": at, tabindex: at === Math.max(0, peak) ? 0 : -1 },
          },
          ...tokenParts(
            visible(at === 0 ? token.trimStart() || token : token),
            firing.activations[at] ?? 0,
            scale,
            at === peak,
          ),
        ),
      ),
    );
  }

  private point(target: EventTarget | null): void {
    const el = (target as HTMLElement | null)?.closest<HTMLElement>(".iw-c-token");
    if (!el) return;
    const at = Number(el.dataset.at);
    const { firing } = this;
    if (!firing) return;
    this.said.textContent = `“${marked(firing.tokens[at])}” ${number(firing.activations[at] ?? 0)}`;
  }

  /** Arrows go from token to token. */
  private step(event: KeyboardEvent): void {
    const all = [...this.tokens.children] as HTMLElement[];
    const now = all.indexOf(event.target as HTMLElement);
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || now < 0) return;
    event.preventDefault();
    const next = all[Math.min(all.length - 1, Math.max(0, to))];
    for (const el of all) el.tabIndex = el === next ? 0 : -1;
    next.focus();
  }

  private say(): void {
    this.said.textContent = this.sentence();
  }

  private sentence(): string {
    const { firing } = this;
    if (this.unable) return this.unable;
    if (!firing) return "";
    if (firing.state === "failed") return firing.message ?? "This text could not be run.";
    if (firing.state === "computing") return "running …";
    const peak = peakOf(firing.activations);
    if (peak < 0) return "It does not fire on this text.";
    const value = firing.activations[peak];
    const of = this.indexed ? ` · strongest in the index ${number(this.top)}` : "";
    return `peak ${number(value)} at “${marked(firing.tokens[peak])}”${of}`;
  }
}

/** The strongest token; −1 where none is active. */
export function peakOf(activations: readonly number[]): number {
  let peak = -1;
  activations.forEach((value, at) => {
    if (Math.abs(value) > (peak < 0 ? 0 : Math.abs(activations[peak]))) peak = at;
  });
  return peak;
}
