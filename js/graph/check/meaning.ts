/**
 * What a node's feature or neuron means: a few lines of text it fires on beside its links, and the whole
 * card in a tab of its own. A label given here is the unit's, on every node of it.
 */
import { FeatureCard } from "../../feature/card";
import { exampleList } from "../../feature/examples";
import { cardLegend } from "../../feature/legend";
import type { CardPort, ProposalsShown } from "../../feature/state";
import { append, button, h } from "../../shared/dom";
import type { Context, Part } from "./acting";
import { type MeaningTask, NO_ANSWERS } from "./state";
import { progress, unable } from "./waiting";

/** So many examples stand beside the links. */
const BRIEF = 3;
/** Answers are small; this many are kept here, so that a second look costs nothing. */
const REMEMBERED = 100;

export class MeaningPart implements Part {
  readonly el = h("div", { class: "iw-meaning" });
  /** Some examples, for the tab with the links. */
  readonly brief = h("div", { class: "iw-brief" });
  private readonly card: FeatureCard;
  private readonly known = new Map<string, MeaningTask>();
  private node = -1;
  private asked = "";

  constructor(
    private readonly context: Context,
    signal: AbortSignal,
  ) {
    const { model, actions } = context;
    const ask = (what: "firing" | "label" | "naming", extra: object = {}) => {
      const heard = this.id !== "" && model.ask({ what, ids: [this.id], ...extra } as never);
      if (!heard) actions.say("No kernel hears it.");
    };
    const port: CardPort = {
      test: (text) => ask("firing", { text }),
      label: (text) => ask("label", { text }),
      propose: () => ask("naming"),
      accept: (proposed) => ask("label", { text: this.proposed(proposed), proposed }),
      open: (layer, feature) => actions.select(this.nodesOf(layer, feature)),
      opens: (layer, feature) => this.nodesOf(layer, feature).length > 0,
      elsewhere: "not in this graph",
    };
    this.card = new FeatureCard(port, signal);
    this.el.append(this.card.el, cardLegend());
  }

  /** Someone is typing in the card. */
  get typing(): boolean {
    const active = (this.el.getRootNode() as Document | ShadowRoot).activeElement;
    return (active?.matches("input, textarea") ?? false) && this.el.contains(active);
  }

  /** Show this node, asking for what is not known yet. */
  of(node: number): HTMLElement {
    if (node !== this.node) {
      this.node = node;
      this.card.setFiring(null);
      this.card.setProposals(null);
    }
    this.start();
    this.update();
    return this.el;
  }

  remember(): void {
    const { meaning } = this.context.store.state.answers;
    if (meaning.state !== "done") return;
    this.known.set(meaning.asked.ids[0], meaning);
    const [oldest] = this.known.keys();
    if (this.known.size > REMEMBERED) this.known.delete(oldest);
  }

  update(): void {
    if (this.node < 0) return;
    const { context, task } = this;
    const sentence = unable(context);
    this.card.setUnable(sentence);
    const trouble = task.state === "failed" ? task.message : "";
    if (task.result || task.state !== "computing")
      this.card.set(task.result, trouble || (task.result ? "" : sentence));
    else this.card.leave("Looking it up.");
    this.showFiring();
    this.showProposals();
    this.showBrief(task);
  }

  private get id(): string {
    return this.context.store.state.graph?.ids[this.node] ?? "";
  }

  private get task(): MeaningTask {
    const { meaning } = this.context.store.state.answers;
    if (meaning.asked.ids[0] === this.id && meaning.state !== "none") return meaning;
    return this.known.get(this.id) ?? NO_ANSWERS.meaning;
  }

  private start(): void {
    const { context, id } = this;
    if (id === this.asked || unable(context) !== "") return;
    this.asked = id;
    if (this.task.state !== "done" && this.task.state !== "computing") {
      context.model.ask({ what: "meaning", ids: [id] });
    }
    const { text } = this.card.test;
    if (text.trim() !== "") context.model.ask({ what: "firing", ids: [id], text });
  }

  private showFiring(): void {
    const { firing } = this.context.store.state.answers;
    if (firing.state === "none" || firing.asked.ids[0] !== this.id) return;
    const { state, message, result } = firing;
    this.card.setFiring({
      tokens: result?.tokens ?? [],
      activations: result?.activations ?? [],
      message: state === "computing" ? "" : message,
      state: state === "done" || state === "computing" ? state : "failed",
    });
  }

  private showProposals(): void {
    const { naming } = this.context.store.state.answers;
    if (naming.state === "none" || naming.asked.ids[0] !== this.id) return;
    const { state, message, result } = naming;
    this.card.setProposals({
      state: state as ProposalsShown["state"],
      message,
      proposals: result?.proposals ?? [],
    });
  }

  private proposed(at: number): string {
    return this.context.store.state.answers.naming.result?.proposals[at]?.text ?? "";
  }

  private showBrief(task: MeaningTask): void {
    const { store } = this.context;
    const card = task.result;
    this.brief.replaceChildren();
    this.brief.hidden = !card && task.state !== "computing" && task.state !== "failed";
    if (this.brief.hidden) return;
    const open = button("all of its meaning", () => store.set({ tool: "meaning" }), {
      title: "More examples, a test text, what its weights say, its label",
    });
    append(this.brief, [
      h("h4", {}, "fires on ", h("small", {}, open)),
      ...(card
        ? exampleList(card.examples.slice(0, BRIEF), (text) => {
            store.set({ tool: "meaning" });
            this.card.test.copy(text);
          })
        : [progress(this.context, "meaning", task)]),
      card && card.examples.length === 0
        ? h("p", { class: "iw-note" }, card.notes[0] ?? "It fired nowhere in the indexed texts.")
        : null,
    ]);
  }

  private nodesOf(layer: number, feature: number): number[] {
    const { graph } = this.context.store.state;
    if (!graph) return [];
    const { at } = graph;
    const found: number[] = [];
    for (let i = 0; i < graph.ids.length; i++) {
      if (at.kind[i] === 0 && at.layer[i] === layer && at.feature[i] === feature) found.push(i);
    }
    return found;
  }
}
