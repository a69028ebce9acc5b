/** Below, on demand: how much effect and damage a strength has, beside controls. */
import { Charts } from "../shared/charts";
import { button, h } from "../shared/dom";
import { percent } from "../shared/format";
import { EMPTY, type Host, type Live, type Question } from "./state";

export class DoseSection {
  /** In the head of the sliders. */
  readonly open: HTMLButtonElement;
  readonly el = h("section", { class: "iw-s-dose", attrs: { "aria-label": "Dose and response" } });
  readonly charts = new Charts();
  private readonly title = h("b", { class: "iw-s-dosetitle" }, "Dose and response");
  private readonly sentence = h("div", { class: "iw-s-verdict", attrs: { role: "status" } });
  private readonly stop: HTMLButtonElement;
  private readonly measure: HTMLButtonElement;
  private readonly tokens = h("input", {
    attrs: { type: "text", spellcheck: "false", placeholder: "what rises most" },
  });
  private readonly prompts = h("textarea", { attrs: { rows: 2, spellcheck: "false" } });
  private readonly instruction = h("input", {
    attrs: { type: "text", spellcheck: "false", placeholder: "the same, in words" },
  });
  private live: Live = EMPTY;
  private typed = "";
  private touched = false;

  constructor(
    private readonly host: Host,
    private readonly resized: () => void,
  ) {
    this.open = button("dose and response", () => this.toggle(), {
      class: "iw-action",
      title: "Effect and damage over many strengths of what is turned, beside random directions",
      attrs: { "aria-expanded": "false" },
    });
    this.stop = button("Cancel", () => host.act("stop dose"), { class: "iw-action" });
    this.measure = button("Measure", () => this.ask(), { class: "iw-action" });
    const close = button("close", () => this.toggle(), { class: "iw-strong" });
    const field = (text: string, title: string, el: HTMLInputElement | HTMLTextAreaElement) => {
      el.addEventListener("input", () => {
        this.touched = true;
      });
      return h("label", { title }, text, el);
    };
    this.el.append(
      h("div", { class: "iw-s-knobhead" }, this.title, this.stop, close),
      h(
        "div",
        { class: "iw-s-question" },
        field(
          "likelier",
          "Tokens whose log-probability is the effect; | between them",
          this.tokens,
        ),
        field(
          "behind",
          "At least two prompts, one a line: the interval is over them",
          this.prompts,
        ),
        field(
          "asked by",
          "The prompt baseline: words in front of each prompt that ask for the same",
          this.instruction,
        ),
        this.measure,
      ),
      this.sentence,
      this.charts.el,
    );
    this.el.hidden = true;
  }

  private get question(): Question {
    return {
      tokens: this.tokens.value,
      prompts: this.prompts.value,
      instruction: this.instruction.value,
    };
  }

  private ask(): void {
    this.touched = false;
    this.host.measure(this.question);
  }

  /** A question that is complete is answered at once. */
  private toggle(): void {
    this.el.hidden = !this.el.hidden;
    this.open.setAttribute("aria-expanded", String(!this.el.hidden));
    this.resized();
    const complete = this.prompts.value.trim().split("\n").length > 1;
    if (!this.el.hidden && complete && this.live.dose.state === "") this.ask();
  }

  get visible(): boolean {
    return !this.el.hidden;
  }

  setLive(live: Live, off: boolean): void {
    const begun = live.dose.state === "computing" && this.live.dose.state !== "computing";
    this.live = live;
    const { dose } = live;
    const computing = dose.state === "computing";
    if (begun && this.el.hidden) this.toggle(); // asked for from Python
    this.open.disabled = off || live.knobs.length === 0;
    const known = JSON.stringify(dose.question);
    if (known !== this.typed && !this.touched) {
      this.typed = known;
      this.tokens.value = dose.question.tokens;
      this.prompts.value = dose.question.prompts;
      this.instruction.value = dose.question.instruction;
    }
    this.title.textContent = dose.title || "Dose and response";
    this.title.title = dose.title;
    this.sentence.textContent = computing
      ? `${percent(dose.progress)}, ${dose.message} …`
      : dose.message;
    this.stop.hidden = !computing || off;
    this.measure.disabled = computing || off;
    this.el.dataset.iwDose = dose.state;
    this.charts.say(this.waiting(off));
  }

  private waiting(off: boolean): string {
    const { dose } = this.live;
    if (off) return "The chart was with the kernel.";
    if (dose.state === "computing") return "The chart appears here when all is measured.";
    if (dose.state === "") return "Give at least two prompts and press “Measure”.";
    return dose.state === "done" ? "Fetching the chart …" : "No chart: press “Measure”.";
  }

  destroy(): void {
    this.charts.destroy();
  }
}
