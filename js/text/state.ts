/** What Python sends (interp_widgets/views/text_live.py) and hears back. */
import type { Unit } from "./firing";

export type State = "empty" | "computing" | "done" | "cancelled" | "failed";
export type Arrange = "strength" | "layer" | "position";

/** A few times a second. */
export interface Live {
  readonly state: State;
  readonly progress: number;
  readonly message: string;
  /** The prompt that is asked for; the rows may still be of the one before. */
  readonly prompt: string;
  readonly model: string;
  readonly scan: string;
  readonly unit: "feature" | "neuron" | "direction";
  readonly layers: readonly number[];
  readonly indexed: boolean;
  /** What was last asked for and could not be done. */
  readonly problem: string;
  /** Linked views that take what is selected, and what became of it. */
  readonly neighbours: readonly { readonly name: string; readonly verb: string }[];
  readonly told: string;
}

export const EMPTY: Live = {
  state: "empty",
  progress: 0,
  message: "",
  prompt: "",
  model: "",
  scan: "",
  unit: "feature",
  layers: [],
  indexed: false,
  problem: "",
  neighbours: [],
  told: "",
};

/** What the user chose; Python may choose it, too. */
export interface Choice {
  readonly selected: readonly Unit[];
  /** Brushed positions, ascending. */
  readonly tokens: readonly number[];
  /** Only features of these; empty for all. */
  readonly layers: readonly number[];
  readonly arrange: Arrange;
  /** At most so many rows. */
  readonly rows: number;
}

export const ROWS = 30;

export const NOTHING: Choice = {
  selected: [],
  tokens: [],
  layers: [],
  arrange: "strength",
  rows: ROWS,
};

/** The other side; each returns false where nobody hears it. */
export interface Host {
  choose(values: Partial<Choice>): boolean;
  run(prompt: string): boolean;
  act(what: "cancel" | "resume"): boolean;
  send(to: number): boolean;
}

export function sameChoice(a: Choice, b: Choice): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
