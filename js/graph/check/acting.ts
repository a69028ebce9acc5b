/**
 * The part of the panel that asks the model: whether a node or group does what the graph says,
 * whether many do, what a swap does, and which nodes belong together.
 *
 * Parts redraw themselves when an answer comes in, so that a field keeps what is typed into it.
 */
import { button, type Child, h } from "../../shared/dom";
import type { Actions } from "../actions";
import { FEATURE } from "../graph";
import type { Store } from "../store";
import { CheckPart } from "./check";
import { ManyPart } from "./many";
import { MeaningPart } from "./meaning";
import { ProposalsPart } from "./proposals";
import { SendPart } from "./send";
import type { Answers, Ask, Tool, Wide } from "./state";
import { SwapPart } from "./swap";

export interface Model {
  /** False where nobody can hear it. */
  ask(ask: Ask): boolean;
  cancel(what: keyof Answers): boolean;
}

/** What every part works with. */
export interface Context {
  readonly store: Store;
  readonly actions: Actions;
  readonly model: Model;
}

/** A part of the panel that follows the answers by itself. */
export interface Part {
  readonly el: HTMLElement;
  update(): void;
}

const TABS: readonly [Tool, string, string][] = [
  ["links", "links", "What it reads from and writes to"],
  ["meaning", "meaning", "What it fires on, what it writes, what it is called"],
  ["check", "check", "Change it in the model, and see whether that does what the graph says"],
  ["swap", "swap", "Put what another prompt has in its place"],
];

const WIDE_TABS: readonly [Wide, string, string][] = [
  ["strongest", "strongest", "The nodes with the most influence"],
  ["many", "check many", "Does the graph predict what the model does, over many nodes?"],
  ["groups", "suggest groups", "Nodes of like effect and role, as groups to accept or reject"],
];

export class Acting {
  private readonly check: CheckPart;
  private readonly many: ManyPart;
  private readonly swap: SwapPart;
  private readonly proposals: ProposalsPart;
  private readonly send: SendPart;
  private readonly meaning: MeaningPart;
  private shown: Part | null = null;

  constructor(
    private readonly context: Context,
    signal: AbortSignal,
  ) {
    this.check = new CheckPart(context);
    this.many = new ManyPart(context);
    this.swap = new SwapPart(context);
    this.proposals = new ProposalsPart(context);
    this.send = new SendPart(context);
    this.meaning = new MeaningPart(context, signal);
    context.store.subscribe((changed) => {
      if (changed.has("answers")) {
        this.check.remember();
        this.meaning.remember();
        this.send.update();
        this.meaning.update();
      }
      const drawn = ["answers", "rejected", "offline", "status"] as const;
      if (drawn.some((key) => changed.has(key))) this.shown?.update();
      const looked = ["selected", "wide", "answers", "groups", "rejected"] as const;
      if (looked.some((key) => changed.has(key))) this.outline();
    });
  }

  /** Proposed groups are outlined while their list is open. */
  private outline(): void {
    const { store } = this.context;
    const shown = store.state.wide === "groups" && store.state.selected.length === 0;
    store.set({ preview: shown ? this.proposals.outlined : [] });
  }

  /** Someone is typing in here: the panel must not be built anew. */
  get typing(): boolean {
    return this.swap.typing || this.proposals.typing || this.meaning.typing;
  }

  /** Under the head of a node or of several: their links, or what the model says. */
  selection(nodes: readonly number[], links: () => readonly Child[]): Child[] {
    const { store } = this.context;
    const { graph, tool } = store.state;
    this.shown = null;
    if (!graph) return [];
    const tabs = this.tabs(TABS, tool, (next) => {
      store.set({ tool: next });
      if (next === "check") this.check.start();
    });
    const units = nodes.filter((i) => graph.at.kind[i] === FEATURE);
    const one = units.length === 1 && nodes.length === 1 ? this.meaning.of(units[0]) : null;
    if (tool === "links") {
      return [tabs, this.send.of(units), one && this.meaning.brief, ...links()];
    }
    if (tool === "meaning") {
      const unit = graph.header.unit;
      const none = `One ${unit} has a meaning: select a single ${unit}.`;
      return [tabs, one ?? h("p", { class: "iw-note" }, none)];
    }
    if (units.length === 0) {
      return [
        tabs,
        h("p", { class: "iw-note" }, `Only ${graph.header.unit}s can be changed: select one.`),
      ];
    }
    const part = tool === "check" ? this.check : this.swap;
    part.nodes = units;
    return [tabs, this.send.of(units), this.show(part)];
  }

  /** The panel while nothing is selected. */
  overall(strongest: () => readonly Child[]): Child[] {
    const { store } = this.context;
    const { wide } = store.state;
    this.shown = null;
    const tabs = this.tabs(WIDE_TABS, wide, (next) => {
      store.set({ wide: next });
      if (next === "groups") this.proposals.start();
    });
    if (wide === "strongest") return [tabs, ...strongest()];
    return [tabs, this.show(wide === "many" ? this.many : this.proposals)];
  }

  /** The parts about the whole graph, for cells too narrow to show the panel at rest. */
  menu(): { text: string; title: string; disabled: boolean; run(): void }[] {
    const { store } = this.context;
    return WIDE_TABS.slice(1).map(([wide, text, title]) => ({
      text,
      title,
      disabled: store.state.graph === null,
      run: () => {
        store.set({
          selected: [],
          query: "",
          wide: store.state.wide === wide ? "strongest" : wide,
        });
        if (store.state.wide === "groups") this.proposals.start();
      },
    }));
  }

  private show(part: Part): HTMLElement {
    this.shown = part;
    part.update();
    return part.el;
  }

  private tabs<T extends string>(
    all: readonly [T, string, string][],
    open: T,
    go: (tab: T) => void,
  ): HTMLElement {
    return h(
      "div",
      { class: "iw-tabs", attrs: { role: "group", "aria-label": "Panel" } },
      ...all.map(([tab, text, title]) =>
        button(text, () => go(tab), {
          class: tab === open ? "iw-tab iw-open" : "iw-tab",
          title,
          attrs: { "aria-pressed": tab === open ? "true" : "false", "data-tab": tab },
        }),
      ),
    );
  }
}
