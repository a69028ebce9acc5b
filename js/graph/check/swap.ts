/** Swap a group for what another prompt has there: top answers before and after. */
import { append, button, type Child, h } from "../../shared/dom";
import { probability } from "../../shared/format";
import type { Context, Part } from "./acting";
import { NO_ANSWERS, type SwapAsked, type Swapped, type Task } from "./state";
import { notes, progress, unable } from "./waiting";

const STRENGTHS = [1, 1.5, 2];

export class SwapPart implements Part {
  readonly el = h("div", { class: "iw-swap" });
  nodes: readonly number[] = [];
  private readonly prompt = field("the prompt to take from");
  private readonly label = field("label of its nodes");
  private readonly press: HTMLButtonElement;
  private readonly strengths: readonly HTMLButtonElement[];
  private strength = 1;
  private readonly reason = h("p", { class: "iw-note" });
  private readonly answer = h("div", { class: "iw-swapped" });

  constructor(private readonly context: Context) {
    this.press = button("Swap in the model", () => this.start(), { class: "iw-ask" });
    this.strengths = STRENGTHS.map((strength) =>
      button(
        `× ${strength}`,
        () => {
          this.strength = strength;
          this.update();
          if (this.context.store.state.answers.swap.state !== "none") this.start();
        },
        { class: "iw-factor", title: "What the other prompt's activations are multiplied by" },
      ),
    );
    const enter = (e: KeyboardEvent) => {
      if (e.key !== "Enter") return;
      e.preventDefault();
      this.start();
    };
    for (const input of [this.prompt, this.label]) {
      input.addEventListener("keydown", enter);
      input.addEventListener("input", () => this.update());
    }
    this.el.append(
      h("label", { class: "iw-field" }, "from the prompt", this.prompt),
      h("label", { class: "iw-field" }, "nodes labelled", this.label),
      h(
        "div",
        { class: "iw-asking" },
        this.press,
        h(
          "span",
          { class: "iw-factors", attrs: { role: "group", "aria-label": "Strength" } },
          ...this.strengths,
        ),
      ),
      this.reason,
      this.answer,
    );
  }

  get typing(): boolean {
    const { activeElement } = this.el.getRootNode() as Document | ShadowRoot;
    return activeElement === this.prompt || activeElement === this.label;
  }

  private get asked(): SwapAsked {
    const { graph } = this.context.store.state;
    return {
      ids: this.nodes.map((i) => graph?.ids[i] ?? ""),
      prompt: this.prompt.value.trim(),
      label: this.label.value.trim(),
      strength: this.strength,
    };
  }

  private start(): void {
    if (!this.press.disabled) this.context.model.ask({ what: "swap", ...this.asked });
  }

  update(): void {
    const { store } = this.context;
    const { graph, answers } = store.state;
    if (this.prompt.value === "" && !this.typing) this.prompt.value = graph?.header.prompt ?? "";
    const { asked } = this;
    this.strengths.forEach((press, k) => {
      const on = STRENGTHS[k] === this.strength;
      press.classList.toggle("iw-open", on);
      press.setAttribute("aria-pressed", String(on));
    });
    const same = asked.prompt === (graph?.header.prompt ?? "");
    const why = unable(this.context);
    const missing = same
      ? "Change the prompt: name another city, say."
      : asked.label === ""
        ? "Which nodes of the other prompt should come in? Part of their label is enough."
        : "";
    this.press.disabled = why !== "" || missing !== "";
    this.reason.textContent =
      why ||
      missing ||
      "Takes out what is selected, puts the other nodes in at the same tokens, and does the same with random groups.";
    const { swap } = answers;
    const here = swap.asked.ids.length > 0 && sameIds(swap.asked.ids, asked.ids);
    this.show(here ? swap : NO_ANSWERS.swap);
  }

  private show(task: Task<SwapAsked, Swapped>): void {
    this.el.dataset.iwSwap = task.state;
    this.answer.replaceChildren();
    append(this.answer, [progress(this.context, "swap", task), ...swapped(task)]);
  }
}

function sameIds(a: readonly string[], b: readonly string[]): boolean {
  return [...a].sort().join(" ") === [...b].sort().join(" ");
}

function swapped({ result }: Task<SwapAsked, Swapped>): Child[] {
  if (!result) return [];
  const head = ["answer", "before", "swapped", result.controls];
  return [
    h(
      "table",
      { class: "iw-lines iw-answers", attrs: { "aria-label": "Top answers before and after" } },
      h("tr", {}, ...head.map((text) => h("th", { attrs: { scope: "col" } }, text))),
      ...result.answers.map(({ token, before, after, random }) =>
        h(
          "tr",
          { class: "iw-line" },
          h("th", { attrs: { scope: "row" } }, token),
          h("td", { class: "iw-linenum" }, probability(before)),
          h("td", { class: "iw-linenum iw-after" }, probability(after)),
          h(
            "td",
            { class: "iw-linenum iw-random" },
            random ? `${probability(random[1])} to ${probability(random[2])}` : "",
          ),
        ),
      ),
    ),
    h("p", { class: "iw-note" }, `Came in: ${result.brought.join(", ")}.`),
    ...notes(result.notes),
  ];
}

function field(name: string): HTMLInputElement {
  return h("input", {
    class: "iw-input iw-text",
    attrs: { type: "text", "aria-label": name, spellcheck: "false", autocomplete: "off" },
  });
}
