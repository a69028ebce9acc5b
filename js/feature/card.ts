/**
 * Everything about one feature, in a column of any width from 280 px on: what it is called, where it
 * fires, what it writes, what it is close to. It knows no host: a port passes on what is asked.
 */
import { h } from "../shared/dom";
import { signed } from "../shared/format";
import { shareBar } from "./bars";
import { drawActivations, drawDensity, type Often, type Strongly } from "./charts";
import { exampleList, groupList, topOf } from "./examples";
import { LabelLine } from "./label";
import { logitLists } from "./logits";
import { neighbourList } from "./neighbours";
import { Section } from "./section";
import { SECTIONS } from "./sections";
import type { Card, CardExample, CardPort, Control, FiringShown, ProposalsShown } from "./state";
import { TestText } from "./test-text";
import { effectText, silentText } from "./words";

/** So many examples before “more”: on each side of zero, where a unit has two. */
const FIRST = 8;
const FIRST_BELOW = 4;
/** A card that makes room for another one fades if that takes so long, and then goes. */
const FADE_MS = 120;
const LEAVING_MS = 500;

type Lists = Parameters<typeof neighbourList>[0];

export class FeatureCard {
  readonly el: HTMLElement;
  /** The test text; a host may keep it from one feature to the next. */
  readonly test: TestText;
  private readonly label: LabelLine;
  private readonly message = h("p", { class: "iw-c-message", attrs: { role: "status" } });
  private readonly content: HTMLElement;
  private readonly notes = h("div", { class: "iw-c-notes" });
  private readonly examples: Section<{ list: readonly CardExample[]; shown: number } | string>;
  private readonly negative: Section<{ list: readonly CardExample[]; shown: number }>;
  private readonly groups: Section<Card["groups"]>;
  private readonly density = new Section<Often>("how often", SECTIONS.density, drawDensity);
  private readonly activations = new Section<Strongly>(
    "how strongly",
    SECTIONS.activations,
    drawActivations,
  );
  private readonly logits: Section<NonNullable<Card["logits"]>>;
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
  /** Whose card was shown last, also while there is none. */
  private name = "";
  private leaving: ReturnType<typeof setTimeout> | undefined;
  private firing: FiringShown | null = null;
  private unable = "";
  private shown = FIRST;
  private shownBelow = FIRST_BELOW;

  constructor(port: CardPort, signal: AbortSignal) {
    this.label = new LabelLine(port);
    this.test = new TestText((text) => port.test?.(text), signal);
    this.test.el.hidden = port.test === undefined;
    const copy = port.test ? (text: string) => this.test.copy(text) : null;
    this.examples = new Section("fires on", SECTIONS.examples, (found) =>
      typeof found === "string"
        ? [h("p", { class: "iw-c-soft" }, found)]
        : exampleList(found.list, copy, found.shown, (more) => {
            this.shown = more;
            this.render();
          }),
    );
    this.logits = new Section("writes to the output", SECTIONS.logits, (logits) =>
      logitLists(logits, port.find),
    );
    this.negative = new Section("below zero on", SECTIONS.negative, ({ list, shown }) =>
      exampleList(list, copy, shown, (more) => {
        this.shownBelow = more;
        this.render();
      }),
    );
    this.groups = new Section("by strength", SECTIONS.groups, (groups) =>
      groupList(
        groups,
        this.card ? topOf(this.card) : 0,
        copy,
        this.openGroups,
        (this.card?.negative.length ?? 0) > 0,
      ),
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
        this.effect.el,
      ),
      h("div", { class: "iw-c-relations" }, ...Object.values(this.lists).map(({ el }) => el)),
      this.notes,
    );
    signal.addEventListener("abort", () => clearTimeout(this.leaving));
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
    if (card && card.name !== this.name) {
      this.name = card.name;
      this.shown = FIRST;
      this.shownBelow = FIRST_BELOW;
      this.openGroups.clear();
      this.firing = null;
      this.label.showProposals(null);
    }
    clearTimeout(this.leaving);
    this.setLeaving(false);
    this.card = card;
    this.message.textContent = message;
    this.render();
  }

  /**
   * Another card is on its way: this one steps back, and can no longer be changed. A sentence takes
   * its place where that lasts. A card that comes in a moment does not flicker.
   */
  leave(message: string): void {
    if (!this.card) {
      this.set(null, message);
      return;
    }
    this.setLeaving(true);
    this.el.dataset.iwPending = "true";
    clearTimeout(this.leaving);
    // Most cards come sooner: a frame less to draw, and nothing flickers.
    this.leaving = setTimeout(() => {
      this.el.classList.add("iw-c-leaving");
      this.leaving = setTimeout(() => this.set(null, message), LEAVING_MS - FADE_MS);
    }, FADE_MS);
  }

  /** All but the test text, which stays from one feature to the next. */
  private setLeaving(leaving: boolean): void {
    const { examples, negative, groups } = this;
    const [, ...beside] = this.content.children;
    for (const el of [this.label.el, examples.el, negative.el, groups.el, ...beside])
      el.toggleAttribute("inert", leaving);
    if (!leaving) this.el.classList.remove("iw-c-leaving");
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
    const silent = card.indexed && card.density?.count === 0;
    const alone = silent ? silentText(card, !this.test.el.hidden && this.unable === "") : null;
    const list = examples.length > 0 ? { list: examples, shown: this.shown } : alone;
    this.examples.set(list, false, examples.length > 0 ? "strongest first" : "");
    const below = negative.length > 0 ? { list: negative, shown: this.shownBelow } : null;
    this.negative.set(below, false, "strongest first");
    this.groups.set(groups.length > 0 ? groups : null, false);
    const { unit, layer } = card;
    this.density.set(density && density.counts.length > 0 ? { density, unit, layer } : null, false);
    const some = activations?.counts.some((n) => n > 0);
    this.activations.set(some ? { activations, times: density?.count ?? null } : null, false);
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
