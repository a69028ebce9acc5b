/** Suggested supernodes: outlined on the drawing, to be accepted, renamed or rejected. */
import { append, button, type Child, h } from "../../shared/dom";
import { count, signed } from "../../shared/format";
import type { Context, Part } from "./acting";
import type { Proposal } from "./state";
import { asking, notes, progress, unable } from "./waiting";

export class ProposalsPart implements Part {
  readonly el = h("div", { class: "iw-proposals" });
  /** Names the user has typed, by proposal. */
  private readonly named = new Map<string, string>();

  constructor(private readonly context: Context) {}

  get typing(): boolean {
    const { activeElement } = this.el.getRootNode() as Document | ShadowRoot;
    return activeElement instanceof HTMLInputElement && this.el.contains(activeElement);
  }

  /** Without those rejected, and without those whose nodes are grouped by now. */
  private get open(): readonly Proposal[] {
    const { answers, rejected, groups } = this.context.store.state;
    const grouped = new Set(groups.flatMap(([, ...ids]) => ids));
    return (answers.proposals.result?.proposals ?? []).filter(
      ({ key, ids }) => !rejected.includes(key) && !ids.every((id) => grouped.has(id)),
    );
  }

  /** All that is proposed, as long as the pointer rests on none of them. */
  get outlined(): readonly string[] {
    return this.open.flatMap(({ ids }) => ids);
  }

  /** The list was opened: a first look asks by itself. */
  start(): void {
    const { state } = this.context.store.state.answers.proposals;
    if (state === "none" && unable(this.context) === "") this.ask();
  }

  private ask(): void {
    this.context.model.ask({ what: "proposals" });
  }

  update(): void {
    const { context, open } = this;
    const { proposals } = context.store.state.answers;
    this.el.dataset.iwProposals = proposals.state;
    const rest = (proposals.result?.proposals.length ?? 0) - open.length;
    const parts: Child[] = [progress(context, "proposals", proposals)];
    if (open.length > 0) {
      parts.push(
        h("ul", { class: "iw-list" }, ...open.map((proposal) => this.row(proposal))),
        ...notes(proposals.result?.notes ?? []),
      );
    } else if (proposals.result) {
      const none =
        rest > 0
          ? "All proposals are dealt with; undo brings them back."
          : "No two nodes are alike enough to be grouped.";
      parts.push(h("p", { class: "iw-note" }, none), ...notes(proposals.result.notes));
    }
    if (proposals.state !== "computing" && (!proposals.result || unable(context) === "")) {
      parts.push(
        ...asking(
          context,
          proposals.result ? "Suggest again" : "Suggest groups",
          () => this.ask(),
          "Compares what nodes read and write. A proposal changes nothing until you accept it.",
        ),
      );
    }
    this.el.replaceChildren();
    append(this.el, parts);
  }

  private row(proposal: Proposal): HTMLElement {
    const { store } = this.context;
    const { key, ids, reason } = proposal;
    const name = h("input", {
      class: "iw-input iw-text iw-proposed",
      attrs: { type: "text", maxlength: 120, "aria-label": "Name of the proposed group" },
      on: {
        input: () => this.named.set(key, name.value),
        keydown: (e) => {
          if (e.key === "Enter") this.accept(proposal);
        },
      },
    });
    name.value = this.named.get(key) ?? proposal.name;
    const look = () => store.set({ preview: ids });
    const away = () => store.set({ preview: this.outlined });
    return h(
      "li",
      {
        class: "iw-proposal",
        on: { pointerenter: look, pointerleave: away, focusin: look, focusout: away },
      },
      h(
        "div",
        { class: "iw-proposalhead" },
        name,
        button("accept", () => this.accept(proposal), { class: "iw-strong" }),
        button("reject", () => this.reject(proposal)),
      ),
      h("div", { class: "iw-reason" }, reason, beside(proposal)),
    );
  }

  private accept(proposal: Proposal): void {
    const name = (this.named.get(proposal.key) ?? proposal.name).trim() || proposal.name;
    this.context.actions.groupAs(name, proposal.ids);
    this.update();
  }

  private reject({ key, name }: Proposal): void {
    const { store, actions } = this.context;
    store.set({ rejected: [...store.state.rejected, key] });
    actions.say(`Rejected ${name}. Undo brings it back.`);
  }
}

/** What the likeness inside a group has to beat. */
function beside({ control, draws }: Proposal): string {
  const [mean, low, high] = control.map((value) => signed(value ?? Number.NaN).replace("+", ""));
  return ` ${count(draws)} random groups of this size: ${mean} (${low} to ${high}).`;
}
