/**
 * Everything about one feature, in a column of any width from 280 px on: what it is called, where it
 * fires, what it writes, what it is close to. It knows no host: a port passes on what is asked.
 */
import { h } from "../shared/dom";
import { signed } from "../shared/format";
import { histogram, shareBar, shareTick } from "./bars";
import { exampleList, groupList, topOf } from "./examples";
import { LabelLine } from "./label";
import { logitLists } from "./logits";
import { neighbourList } from "./neighbours";
import { Section } from "./section";
import type { Card, CardExample, CardPort, Control, FiringShown, ProposalsShown } from "./state";
import { TestText } from "./test-text";
import { activationsText, densityText, effectText } from "./words";

/** So many examples before “more”: on each side of zero, where a unit has two. */
const FIRST = 8;
const FIRST_BELOW = 4;

type Lists = Parameters<typeof neighbourList>[0];

export const SECTIONS = {
  examples: "The strongest places in the indexed texts, centred on the token it fires on",
  negative: "Where it is most strongly below zero: neurons and directions have two sides",
  groups: "Examples from every range of strength, not only the strongest",
  density: "How often it fires, among all features of its layer; the axis is logarithmic",
  activations: "How strongly it fires, over all tokens on which it does",
  logits:
    "Next tokens that it raises and lowers by its direct path to the output, scales of norms left out",
  similar: "Features of any layer whose decoder points the same way (cosine)",
  together: "Features that fire on the same tokens: shared tokens over all tokens of either",
  upstream: "Features whose decoders feed its encoder (virtual weights)",
  downstream: "Features whose encoders its decoder feeds (virtual weights)",
  effect:
    "Who reads what it writes, by layer: squared cosines of the ten strongest readers, above what random directions get",
} as const;

export class FeatureCard {
  readonly el: HTMLElement;
  /** The test text; a host may keep it from one feature to the next. */
  readonly test: TestText;
  private readonly label: LabelLine;
  private readonly message = h("p", { class: "iw-c-message", attrs: { role: "status" } });
  private readonly content: HTMLElement;
  private readonly notes = h("div", { class: "iw-c-notes" });
  private readonly examples: Section<{ list: readonly CardExample[]; shown: number }>;
  private readonly negative: Section<{ list: readonly CardExample[]; shown: number }>;
  private readonly groups: Section<Card["groups"]>;
  private readonly density: Section<Card>;
  private readonly activations: Section<Card>;
  private readonly logits = new Section<NonNullable<Card["logits"]>>(
    "writes to the output",
    SECTIONS.logits,
    logitLists,
  );
  private readonly lists: Record<
    "similar" | "together" | "upstream" | "downstream",
    Section<Lists>
  >;
  private readonly effect = new Section<NonNullable<Card["effect"]>>(
    "where its effect goes",
    SECTIONS.effect,
    (effect) => [shareBar(effect), h("p", { class: "iw-c-soft" }, effectText(effect))],
  );
  private readonly openGroups = new Set<string>();
  private card: Card | null = null;
  private firing: FiringShown | null = null;
  private unable = "";
  private shown = FIRST;
  private shownBelow = FIRST_BELOW;

  constructor(port: CardPort, signal: AbortSignal) {
    this.label = new LabelLine(port);
    this.test = new TestText((text) => port.test(text), signal);
    const copy = (text: string) => this.test.copy(text);
    this.examples = new Section("fires on", SECTIONS.examples, ({ list, shown }) =>
      exampleList(list, copy, shown, (more) => {
        this.shown = more;
        this.render();
      }),
    );
    this.negative = new Section("below zero on", SECTIONS.negative, ({ list, shown }) =>
      exampleList(list, copy, shown, (more) => {
        this.shownBelow = more;
        this.render();
      }),
    );
    this.groups = new Section("by strength", SECTIONS.groups, (groups) =>
      groupList(groups, this.card ? topOf(this.card) : 0, copy, this.openGroups),
    );
    this.density = new Section("how often", SECTIONS.density, (card) => drawDensity(card));
    this.activations = new Section("how strongly", SECTIONS.activations, (card) =>
      drawActivations(card),
    );
    const list = (title: string, help: string) =>
      new Section<Lists>(title, help, (rows) => neighbourList(rows, port));
    this.lists = {
      similar: list("points the same way", SECTIONS.similar),
      together: list("fires together with", SECTIONS.together),
      upstream: list("reads from", SECTIONS.upstream),
      downstream: list("is read by", SECTIONS.downstream),
    };
    this.content = h(
      "div",
      { class: "iw-c-columns" },
      h(
        "div",
        { class: "iw-c-texts" },
        this.test.el,
        this.examples.el,
        this.negative.el,
        this.groups.el,
      ),
      h(
        "div",
        { class: "iw-c-numbers" },
        this.density.el,
        this.activations.el,
        this.logits.el,
        ...Object.values(this.lists).map(({ el }) => el),
        this.effect.el,
        this.notes,
      ),
    );
    this.el = h(
      "article",
      { class: "iw-card", attrs: { "aria-label": "Feature" } },
      this.message,
      this.label.el,
      this.content,
    );
    this.render();
  }

  /** A card, or a sentence in place of one; with both, the sentence stands above. */
  set(card: Card | null, message = ""): void {
    if (card && this.card && card.name !== this.card.name) {
      this.shown = FIRST;
      this.shownBelow = FIRST_BELOW;
      this.openGroups.clear();
      this.firing = null;
      this.label.showProposals(null);
    }
    this.card = card;
    this.message.textContent = message;
    this.render();
  }

  setFiring(firing: FiringShown | null): void {
    this.firing = firing;
    if (this.card) this.test.show(firing, topOf(this.card));
  }

  setProposals(proposals: ProposalsShown | null): void {
    this.label.showProposals(proposals);
  }

  /** Without it, undo is offered as soon as the label has changed. */
  setUndoable(undoable: boolean): void {
    this.label.setUndoable(undoable);
  }

  /** A sentence where nobody answers: the field and what would ask are off. "" turns them on. */
  setUnable(sentence: string): void {
    if (sentence === this.unable) return;
    this.unable = sentence;
    this.render();
  }

  private render(): void {
    const { card } = this;
    this.message.hidden = this.message.textContent === "";
    this.label.el.hidden = card === null;
    this.content.hidden = card === null;
    this.el.dataset.iwCard = card?.name ?? "";
    this.el.dataset.iwPending = String(card?.pending ?? false);
    if (!card) return;
    this.el.setAttribute("aria-label", card.label ? `${card.label.text}, ${card.name}` : card.name);
    this.label.show(card, this.unable !== "");
    this.test.setUnable(this.unable);
    this.test.show(this.firing, topOf(card));
    const { examples, negative, groups, density, activations } = card;
    const list = examples.length > 0 ? { list: examples, shown: this.shown } : null;
    this.examples.set(list, false, list ? "strongest first" : "");
    const below = negative.length > 0 ? { list: negative, shown: this.shownBelow } : null;
    this.negative.set(below, false, "strongest first");
    this.groups.set(groups.length > 0 ? groups : null, false);
    this.density.set(density && density.counts.length > 0 ? card : null, false);
    this.activations.set(activations && activations.counts.length > 0 ? card : null, false);
    this.renderWeights(card);
    this.notes.replaceChildren(...card.notes.map((note) => h("p", { class: "iw-c-soft" }, note)));
  }

  private renderWeights(card: Card): void {
    const awaited = card.pending === true;
    const { similar, upstream, downstream, virtual_control: virtual } = card;
    this.logits.set(card.logits, awaited);
    const share = (value: number) => signed(value).replace(/^\+/, "");
    this.lists.similar.set(
      similar && {
        name: "points the same way",
        rows: similar.decoder,
        control: similar.control,
        controlName: "closest to random directions",
        print: share,
      },
      awaited,
    );
    this.lists.together.set(
      similar && similar.together.length > 0
        ? {
            name: "fires together with",
            rows: similar.together,
            control: similar.together_control,
            controlName: "best by chance, moved along the texts",
            print: share,
          }
        : null,
      awaited,
    );
    const through = (name: string, rows: Card["upstream"], control: Control | null) =>
      rows && {
        name,
        rows,
        control,
        controlName: "best for random directions",
        print: (value: number) => signed(value),
      };
    const up = through("reads from", upstream, card.upstream_control ?? virtual);
    this.lists.upstream.set(up, awaited);
    const down = through("is read by", downstream, card.downstream_control ?? virtual);
    this.lists.downstream.set(down, awaited);
    this.effect.set(card.effect && card.effect.length > 0 ? card.effect : null, awaited);
  }
}

function drawDensity(card: Card): HTMLElement[] {
  const { density } = card;
  if (!density) return [];
  const says = densityText(card);
  return [
    histogram({
      edges: density.edges,
      counts: density.counts,
      mark: density.value && density.value > 0 ? Math.log10(density.value) : null,
      markName: "this",
      tick: shareTick,
      className: "iw-c-ink",
      says: `Share of tokens on which features fire, by number of features. ${says}`,
    }),
    h("p", { class: "iw-c-soft" }, says),
  ];
}

function drawActivations(card: Card): HTMLElement[] {
  const { activations } = card;
  if (!activations) return [];
  const says = activationsText(card);
  return [
    histogram({
      edges: activations.edges,
      counts: activations.counts,
      mark: activations.here,
      markName: "here",
      tick: (edge) => signed(edge, 1).replace(/^\+/, ""),
      className: "iw-c-act",
      says: `Activations, by number of tokens. ${says}`,
    }),
    h("p", { class: "iw-c-soft" }, says),
  ];
}
