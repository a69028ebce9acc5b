/**
 * What a card shows, as Python writes it (interp_widgets/features/card.py), and what it asks of its
 * host. Absent things are null; numbers are finite or null.
 */
import type { Example } from "../shared/example";

export interface Label {
  readonly text: string;
  readonly kind: string;
  readonly source: string;
  /** How well the label's examples tell active from other text: area under the ROC curve. */
  readonly score: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** The same for random labels. */
  readonly control: number | null;
  readonly samples: number;
  readonly date: string;
  /** Of the samples, so many were active. */
  readonly active?: number;
  /** What was tested: the words of a label that is a rule, else the examples it was given for. */
  readonly by?: "rule" | "examples" | "words" | "model";
  /** The text it was tested on. */
  readonly tested_on?: string;
  readonly testing?: boolean;
  /** Why it could not be tested. */
  readonly why?: string;
}

export interface CardExample extends Example {
  /** null where it is not known. */
  readonly document: number | null;
  readonly position: number | null;
}

export interface Group {
  readonly name: string;
  /** Null where a foreign file does not say it. */
  readonly low: number | null;
  readonly high: number | null;
  readonly examples: readonly CardExample[];
}

export interface TokenWeight {
  readonly token: string;
  /** Null where a foreign file lists tokens only. */
  readonly value: number | null;
}

/** What chance gives: a mean and the range of most draws. */
export interface Control {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly draws: number;
}

export interface Neighbour {
  readonly layer: number;
  readonly feature: number;
  readonly label: string | null;
  readonly value: number;
  readonly count?: number;
}

export interface Card {
  readonly unit: string;
  readonly name: string;
  readonly layer: number;
  readonly feature: number;
  readonly scan: string;
  readonly model: string;
  /** Null where a foreign file does not say on how many. */
  readonly tokens: number | null;
  readonly documents: number | null;
  readonly complete: boolean;
  readonly indexed: boolean;
  readonly label: Label | null;
  readonly density: {
    readonly value: number | null;
    readonly count: number | null;
    readonly edges: readonly number[];
    readonly counts: readonly number[];
  } | null;
  readonly activations: {
    readonly edges: readonly number[];
    readonly counts: readonly number[];
    readonly max: number | null;
    readonly here: number | null;
    readonly percentile: number | null;
  } | null;
  readonly examples: readonly CardExample[];
  readonly negative: readonly CardExample[];
  readonly groups: readonly Group[];
  readonly logits: {
    readonly positive: readonly TokenWeight[];
    readonly negative: readonly TokenWeight[];
    readonly control: Control | null;
  } | null;
  readonly similar: {
    readonly decoder: readonly Neighbour[];
    readonly control: Control | null;
    readonly together: readonly Neighbour[];
    readonly together_control: Control | null;
  } | null;
  readonly upstream: readonly Neighbour[] | null;
  readonly downstream: readonly Neighbour[] | null;
  /** The larger of the two below. */
  readonly virtual_control: Control | null;
  readonly upstream_control?: Control | null;
  readonly downstream_control?: Control | null;
  readonly effect: readonly { readonly to: string; readonly share: number }[] | null;
  readonly notes: readonly string[];
  /** What is null is still being computed. */
  readonly pending?: boolean;
}

export interface FiringShown {
  readonly tokens: readonly string[];
  readonly activations: readonly number[];
  readonly message?: string;
  readonly state: "computing" | "done" | "failed";
}

export interface Proposal {
  readonly text: string;
  /** By which rule it was found. */
  readonly rule: string;
  readonly score: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly control: number | null;
  readonly samples: number;
  readonly active?: number;
}

export interface ProposalsShown {
  readonly state: "computing" | "done" | "failed" | "cancelled";
  readonly message: string;
  readonly proposals: readonly Proposal[];
}

/** What the card asks of its host; without an optional part, its button is not there. */
export interface CardPort {
  /** Without it there is nobody to run a text, and no field for one. */
  test?(text: string): void;
  /** An empty text takes the label away. */
  label(text: string): void;
  undo?(): void;
  propose?(): void;
  accept?(at: number): void;
  open?(layer: number, feature: number): void;
  /** Whether a neighbour can be opened; without it, every one can. */
  opens?(layer: number, feature: number): boolean;
  /** Why one cannot: “not in this graph”. */
  readonly elsewhere?: string;
  /** Lists the features that raise a token. */
  find?(token: string): void;
  steer?(): void;
  compare?(): void;
  close?(): void;
}
