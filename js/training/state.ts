/** What Python sends (interp_widgets/views/training_live.py) and what the view says back. */
import type { Example } from "../shared/example";

export type State = "empty" | "computing" | "paused" | "done" | "stopped" | "cancelled" | "failed";

export interface Change {
  readonly step: number;
  readonly what: string;
  readonly old: number;
  readonly new: number;
}

/** A few times a second. */
export interface Live {
  readonly state: State;
  readonly progress: number;
  readonly message: string;
  readonly step: number;
  readonly tokens: number;
  readonly total: number;
  /** Tokens a second, and seconds left; null while unknown. */
  readonly rate: number | null;
  readonly left: number | null;
  readonly model: string;
  readonly dictionaries: readonly { readonly name: string; readonly title: string }[];
  /** Features of the dictionary shown. */
  readonly size: number;
  readonly numbers: Readonly<Record<string, number | null>>;
  readonly controls: Readonly<Record<string, number | null>>;
  readonly settings: Readonly<Record<string, number>>;
  readonly limits: Readonly<Record<string, readonly [number, number]>>;
  /** Asked for and not yet applied. */
  readonly pending: Readonly<Record<string, number>>;
  readonly changes: readonly Change[];
  readonly problem: string;
}

export interface Row {
  readonly feature: number;
  /** Share of recent tokens it fired on. */
  readonly density: number;
  readonly examples: readonly Example[];
}

export type Order = "active" | "newest" | "number";

/** Every few seconds. */
export interface Features {
  readonly name: string;
  readonly order: Order;
  readonly start: number;
  readonly size: number;
  readonly alive: number;
  readonly tokens: number;
  readonly rows: readonly Row[];
}

export interface Detail {
  readonly name: string;
  readonly tokens: number;
  readonly row: Row;
}

export type Action = "pause" | "resume" | "stop" | "cancel";

export interface Choice {
  shown?: string;
  order?: Order;
  start?: number;
  rows?: number;
  opened?: number | null;
}

/** The other side; each returns false where nobody hears it. */
export interface Host {
  act(what: Action): boolean;
  change(what: string, value: number, everywhere: boolean): boolean;
  choose(values: Choice): boolean;
}

export const EMPTY: Live = {
  state: "empty",
  progress: 0,
  message: "",
  step: 0,
  tokens: 0,
  total: 0,
  rate: null,
  left: null,
  model: "",
  dictionaries: [],
  size: 0,
  numbers: {},
  controls: {},
  settings: {},
  limits: {},
  pending: {},
  changes: [],
  problem: "",
};

export const running = (state: State): boolean => state === "computing" || state === "paused";
