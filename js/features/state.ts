/** What Python sends (interp_widgets/views/features_live.py) and what the view asks of it. */
import type { Card, ProposalsShown } from "../feature/state";
import type { Example } from "../shared/example";

export type State = "empty" | "computing" | "done" | "cancelled" | "failed";

export interface Live {
  readonly state: State;
  readonly progress: number;
  readonly message: string;
  /** A list to search beside the card, or the card alone. */
  readonly mode: "browse" | "one";
  readonly unit: string;
  readonly scan: string;
  readonly model: string;
  readonly layers: readonly { readonly layer: number; readonly features: number }[];
  readonly tokens: number;
  readonly documents: number;
  readonly indexed: boolean;
  readonly complete: boolean;
  readonly labelled: number;
  /** There is a label to take back. */
  readonly undoable: boolean;
  /** Something is wrong with the user's labels. */
  readonly problem: string;
}

export const EMPTY: Live = {
  state: "empty",
  progress: 0,
  message: "",
  mode: "browse",
  unit: "feature",
  scan: "",
  model: "",
  layers: [],
  tokens: 0,
  documents: 0,
  indexed: false,
  complete: true,
  labelled: 0,
  undoable: false,
  problem: "",
};

export type Mode = "label" | "token" | "prompt" | "promotes";
export type Sort = "match" | "score" | "density" | "strength" | "number";

export interface Query {
  readonly text: string;
  readonly mode: Mode;
  readonly sort: Sort;
  readonly layer: number | null;
  readonly rows: number;
}

export interface Row {
  readonly layer: number;
  readonly feature: number;
  readonly label: string | null;
  readonly score: number | null;
  /** Where "examples", the score is of the examples and not of the label's words. */
  readonly by?: string | null;
  readonly density: number | null;
  readonly strongest: number | null;
  readonly example: Example | null;
  /** Why it was found, and how much so; "" in the plain list. */
  readonly why: string;
  readonly value: number | null;
}

export interface Page extends Query {
  readonly seq: number;
  readonly state: "computing" | "done" | "failed" | "cancelled";
  readonly message: string;
  readonly total: number;
  /** There may be more: these are the best. */
  readonly capped: boolean;
  readonly found: readonly Row[];
}

/** An opened card, or a sentence why it cannot be shown. */
export interface Opened {
  readonly seq: number;
  readonly name: string;
  readonly card: Card | null;
  readonly message: string;
}

/** One text on all opened features, by name. */
export interface Firings {
  readonly seq: number;
  readonly text: string;
  readonly state: "computing" | "done" | "failed";
  readonly message: string;
  readonly tokens: readonly string[];
  readonly of: Readonly<Record<string, readonly number[]>>;
}

export interface Proposals extends ProposalsShown {
  readonly name: string;
}

/** What became of the last thing asked for, with code to run where that is the answer. */
export interface Told {
  readonly seq: number;
  readonly text: string;
  readonly code: string;
}

export interface Spot {
  readonly layer: number;
  readonly feature: number;
}

export type Ask =
  | ({ type: "search" } & Query)
  | ({ type: "open" } & Spot)
  | ({ type: "compare" } & (Spot | { layer: null; feature: null }))
  | { type: "test"; text: string }
  | ({ type: "label"; text: string } & Spot)
  | ({ type: "propose" } & Spot)
  | ({ type: "accept"; at: number } & Spot)
  | ({ type: "steer" } & Spot)
  | { type: "undo" }
  | { type: "cancel" };

/** The other side; false where nobody hears it. */
export interface Host {
  ask(what: Ask & { seq: number }): boolean;
}

export const nameOf = ({ layer, feature }: Spot): string => `L${layer}/${feature}`;

/** L2/117, 2/117, l2 / 117. */
export function parseSpot(text: string): Spot | null {
  const found = /^\s*l?\s*(\d{1,4})\s*\/\s*(\d{1,9})\s*$/i.exec(text);
  return found ? { layer: Number(found[1]), feature: Number(found[2]) } : null;
}
