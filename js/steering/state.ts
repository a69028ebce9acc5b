/** What Python sends (interp_widgets/views/steering_live.py) and what the view says back. */

export type State = "empty" | "measuring" | "streaming" | "done" | "cancelled" | "failed";

/** add: to the natural value; pin: in its place, wherever it is steered; scale: times it. */
export type Mode = "add" | "pin" | "scale";

/** One slider. Values are raw: activations of a feature, lengths along a direction. */
export interface Knob {
  readonly name: string;
  /** Where it is, for a reader: L4/117. */
  readonly place: string;
  readonly modes: readonly Mode[];
  /** Its sizes were measured, as far as they can be. */
  readonly ready: boolean;
  /** Its natural standard deviation and largest value on so many tokens; null: not yet known. */
  readonly sigma: number | null;
  readonly top: number | null;
  readonly tokens: number;
  /** Which text that was. */
  readonly text: string;
  /** What 1 raw adds to the residual stream, as a share of the stream's median norm there. */
  readonly share: number | null;
  readonly limits: Readonly<Record<Mode, readonly [number, number]>>;
}

export interface Turn {
  readonly mode: Mode;
  readonly value: number;
}

export interface Variant {
  readonly name: string;
  /** One per knob. */
  readonly turns: readonly Turn[];
}

export type Where = "all" | "end" | "new";

export interface Settings {
  readonly prompt: string;
  readonly temperature: number;
  readonly seed: number;
  readonly length: number;
  readonly stop: string;
  readonly chat: boolean;
  readonly where: Where;
}

export interface Tried {
  readonly id: number;
  readonly label: string;
  readonly text: string;
}

/** After every change, and a sign of life now and then. */
export interface Live {
  readonly state: State;
  readonly message: string;
  readonly model: string;
  /** The number of the page's message that was answered last. */
  readonly seq: number;
  readonly knobs: readonly Knob[];
  readonly variants: readonly Variant[];
  readonly active: number;
  readonly settings: Settings;
  /** The tokenizer has a chat template. */
  readonly template: boolean;
  /** The longest text that fits behind the prompt. */
  readonly longest: number;
  readonly tried: readonly Tried[];
  /** Which of them is shown. */
  readonly now: number;
  readonly problem: string;
  readonly dose: Dose;
}

/**
 * Text, log-probability as steered, its change by steering, and how far the whole distribution
 * moved (KL of steered from unsteered); null: not steered. All in nats.
 */
export type Token = readonly [
  text: string,
  logprob: number,
  change: number | null,
  kl: number | null,
];

/** The base first, then one per variant. */
export interface Row {
  readonly tokens: readonly Token[];
  /** "stop": ended by itself; "length"; "": goes on, or was cut off. */
  readonly ended: string;
  /** Nothing is turned: it is the base. */
  readonly same: boolean;
}

export interface Texts {
  readonly run: number;
  /** The end of what the model read, as it continues. */
  readonly lead: string;
  readonly rows: readonly Row[];
}

/** Some steps of a run: per step, per row a token or null where that row takes none. */
export interface Steps {
  readonly type: "tokens";
  readonly run: number;
  readonly from: number;
  readonly steps: readonly (readonly (Token | null)[])[];
}

/** The next token at one place of one text, unsteered and steered. */
export interface Next {
  readonly run: number;
  readonly row: number;
  readonly at: number;
  /** The words just in front. */
  readonly after: string;
  /** Probabilities; null: below all that were listed. */
  readonly tokens: readonly (readonly [
    text: string,
    before: number | null,
    steered: number | null,
  ])[];
}

export interface Dose {
  readonly state: "" | "computing" | "done" | "cancelled" | "failed";
  readonly progress: number;
  readonly message: string;
  /** What was measured, on how much. */
  readonly title: string;
  readonly question: Question;
}

/** As it is typed: prompts one a line, tokens with | between them. */
export interface Question {
  readonly prompts: string;
  readonly tokens: string;
  readonly instruction: string;
}

export interface Change {
  prompt?: string;
  temperature?: number;
  seed?: number;
  length?: number;
  stop?: string;
  chat?: boolean;
  where?: Where;
}

/** The other side; each returns false where nobody hears it. */
export interface Host {
  turn(knob: number, mode: Mode, value: number): boolean;
  set(values: Change): boolean;
  choose(variant: number): boolean;
  /** add: a copy of the active one; drop: the active one; rest: all its sliders to rest. */
  act(what: "add" | "drop" | "rest" | "cancel" | "stop dose"): boolean;
  measure(question: Question): boolean;
  look(row: number, at: number): boolean;
  back(tried: number): boolean;
}

export const EMPTY: Live = {
  state: "empty",
  message: "",
  model: "",
  seq: 0,
  knobs: [],
  variants: [],
  active: 0,
  settings: {
    prompt: "",
    temperature: 0,
    seed: 0,
    length: 40,
    stop: "",
    chat: false,
    where: "all",
  },
  template: false,
  longest: 0,
  tried: [],
  now: 0,
  problem: "",
  dose: {
    state: "",
    progress: 0,
    message: "",
    title: "",
    question: { prompts: "", tokens: "", instruction: "" },
  },
};

export const NO_TEXTS: Texts = { run: 0, lead: "", rows: [] };

/** The value that changes nothing; a pinned value always does. */
export const rest = (mode: Mode): number | null => ({ add: 0, pin: null, scale: 1 })[mode];
