/**
 * What the model is asked through the graph, and what it answered: one trait each, written by
 * Python (`views/graph_check.py`), so that every display of the view shows the same answer.
 */

import type { Card, ProposalsShown } from "../../feature/state";

/** Work that Python does for this view; `asked` says what for. */
export interface Task<Asked, Result> {
  readonly state: "none" | "computing" | "done" | "cancelled" | "failed";
  readonly progress: number;
  readonly message: string;
  readonly asked: Asked;
  /** Part of it while computing, where parts can be shown. */
  readonly result: Result | null;
}

/** What is done to the nodes: their value times this. */
export type Factor = 0 | -1 | 2;

export interface CheckAsked {
  readonly ids: readonly string[];
  readonly factor: Factor;
}

/** A change of a target's value; for controls, the range of many. */
export interface Change {
  readonly value: number | null;
  readonly low?: number | null;
  readonly high?: number | null;
}

/** A way to predict and the way to run the model that goes with it: direct, total. */
export interface Way {
  readonly name: string;
  readonly note: string;
  /** A sentence for whoever asks what the name means. */
  readonly title: string;
}

/** One line of the table: a change for each way. */
export interface Line {
  readonly kind: "predicted" | "measured" | "random";
  readonly name: string;
  readonly title: string;
  readonly changes: readonly Change[];
}

export interface Target {
  /** The node, where the graph has one. */
  readonly id: string;
  readonly name: string;
  readonly unit: string;
  /** Before and after, of an output that is a token. */
  readonly probability: readonly [number, number] | null;
  /** What total has beyond direct, as predicted: through "patterns" and "norms". */
  readonly between: Readonly<Record<string, number | null>>;
  readonly lines: readonly Line[];
}

export interface Checked {
  readonly ways: readonly Way[];
  readonly targets: readonly Target[];
  /** On how much it rests, and what was left out. */
  readonly notes: readonly string[];
}

export interface ManyAsked {
  readonly nodes: number;
  readonly factor: Factor;
}

/** Rank correlation with its bootstrap interval. */
export interface Agreement {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly n: number;
}

/** One way to predict, against what the model says. */
export interface Series {
  readonly name: string;
  readonly title: string;
  /** What is predicted and measured, for the axes. */
  readonly unit: string;
  readonly ids: readonly string[];
  readonly predicted: readonly number[];
  readonly measured: readonly number[];
  readonly agreement: Agreement;
  readonly control: {
    readonly name: string;
    readonly predicted: readonly number[];
    readonly measured: readonly number[];
    readonly agreement: Agreement;
  } | null;
}

export interface Many {
  readonly series: readonly Series[];
  readonly notes: readonly string[];
}

export interface SwapAsked {
  readonly ids: readonly string[];
  readonly prompt: string;
  readonly label: string;
  /** What the other prompt's activations are multiplied by. */
  readonly strength: number;
}

export interface Answer {
  readonly token: string;
  readonly before: number;
  readonly after: number;
  /** The same answer after swaps with random groups: mean, lowest, highest. */
  readonly random: readonly [number, number, number] | null;
}

export interface Swapped {
  readonly answers: readonly Answer[];
  /** The nodes of the other prompt that came in. */
  readonly brought: readonly string[];
  readonly controls: string;
  readonly notes: readonly string[];
}

export interface Proposal {
  readonly key: string;
  readonly name: string;
  readonly ids: readonly string[];
  readonly reason: string;
  /** Mean likeness inside the group, and of random groups: mean, low, high. */
  readonly score: number | null;
  readonly control: readonly (number | null)[];
  readonly draws: number;
}

export interface Proposed {
  readonly proposals: readonly Proposal[];
  readonly notes: readonly string[];
}

/** One node, whose unit is asked about. */
export interface OneAsked {
  readonly ids: readonly string[];
}

export interface Fired {
  readonly tokens: readonly string[];
  readonly activations: readonly number[];
}

export type MeaningTask = Task<OneAsked, Card>;

/** Somewhere else that a selection can be sent to. */
export interface Neighbour {
  readonly name: string;
  readonly verb: string;
}

/** The traits of this part of the view. */
export interface Answers {
  readonly check: Task<CheckAsked, Checked>;
  readonly many: Task<ManyAsked, Many>;
  readonly swap: Task<SwapAsked, Swapped>;
  readonly proposals: Task<object, Proposed>;
  readonly meaning: MeaningTask;
  readonly firing: Task<OneAsked & { readonly text: string }, Fired>;
  readonly naming: Task<OneAsked, Pick<ProposalsShown, "proposals">>;
  /** Why the model cannot be asked, in a sentence; empty where it can. */
  readonly unable: string;
  readonly neighbours: readonly Neighbour[];
  /** What became of the last selection that was sent to one of them. */
  readonly told: string;
}

export const ANSWERS = [
  "check",
  "many",
  "swap",
  "proposals",
  "meaning",
  "firing",
  "naming",
  "unable",
  "neighbours",
  "told",
] as const satisfies readonly (keyof Answers)[];

/** Which part of the panel is open where something is selected, and where nothing is. */
export type Tool = "links" | "meaning" | "check" | "swap";
export type Wide = "strongest" | "many" | "groups";

export type Ask =
  | ({ readonly what: "check" } & CheckAsked)
  | ({ readonly what: "many" } & ManyAsked)
  | ({ readonly what: "swap" } & SwapAsked)
  | { readonly what: "proposals" }
  | ({ readonly what: "meaning" | "naming" } & OneAsked)
  | ({ readonly what: "firing"; readonly text: string } & OneAsked)
  | ({ readonly what: "label"; readonly text: string; readonly proposed?: number } & OneAsked)
  | { readonly what: "send"; readonly to: number; readonly ids: readonly string[] };

function idle<A, R>(asked: A): Task<A, R> {
  return { state: "none", progress: 0, message: "", asked, result: null };
}

export const NO_ANSWERS: Answers = {
  check: idle({ ids: [], factor: 0 }),
  many: idle({ nodes: 0, factor: 0 }),
  swap: idle({ ids: [], prompt: "", label: "", strength: 1 }),
  proposals: idle({}),
  meaning: idle({ ids: [] }),
  firing: idle({ ids: [], text: "" }),
  naming: idle({ ids: [] }),
  unable: "",
  neighbours: [],
  told: "",
};

/** A trait that nothing has been written to yet is an empty object. */
export function task<T extends Task<unknown, unknown>>(value: unknown, none: T): T {
  return typeof value === "object" && value !== null && "state" in value
    ? ({ ...none, ...value } as T)
    : none;
}

/** The answers among a host's traits; what is missing or empty is as if never asked. */
export function answers(get: (name: keyof Answers) => unknown): Answers {
  return {
    check: task(get("check"), NO_ANSWERS.check),
    many: task(get("many"), NO_ANSWERS.many),
    swap: task(get("swap"), NO_ANSWERS.swap),
    proposals: task(get("proposals"), NO_ANSWERS.proposals),
    meaning: task(get("meaning"), NO_ANSWERS.meaning),
    firing: task(get("firing"), NO_ANSWERS.firing),
    naming: task(get("naming"), NO_ANSWERS.naming),
    unable: String(get("unable") ?? ""),
    neighbours: (get("neighbours") ?? []) as readonly Neighbour[],
    told: String(get("told") ?? ""),
  };
}
