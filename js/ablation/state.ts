/** What Python sends (interp_widgets/views/ablation_words.py, ablation_result.py) and hears back. */

export type State = "empty" | "computing" | "done" | "cancelled" | "failed";
export type PanelId = "residual" | "attention" | "mlp" | "heads";
export type Direction = "noising" | "denoising";

export interface PanelInfo {
  readonly id: PanelId;
  readonly title: string;
  readonly columns: number;
}

export interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly tokens: readonly string[];
  /** Of the run that is edited, and of the run whose values are put in. */
  readonly base: number;
  readonly full: number | null;
  /** The effect in full colour. */
  readonly scale: number;
  readonly kl: boolean;
}

type Answer = readonly [text: string, probability: number];

/** A few times a second; it comes in one message with the values it is about. */
export interface Live {
  readonly state: State;
  readonly progress: number;
  readonly message: string;
  readonly model: string;
  readonly method: Direction | "zero" | "mean";
  readonly warning: string;
  readonly clean: readonly string[];
  readonly corrupted: readonly string[] | null;
  readonly answers: { readonly clean: Answer; readonly corrupted: Answer | null } | null;
  readonly layers: number;
  readonly panels: readonly PanelInfo[];
  readonly metric: Metric | null;
  readonly given: readonly { readonly id: string; readonly title: string }[];
}

export interface NextToken {
  readonly text: string;
  /** The metric is about it. */
  readonly named: boolean;
  /** Probability and logit. */
  readonly before: readonly [number, number];
  readonly after: readonly [number, number];
}

export interface Controls {
  readonly n: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface Effect {
  readonly base: number;
  readonly singles: readonly number[];
  readonly joint: number;
  readonly sum: number;
  readonly controls: Controls | null;
  readonly tokens: readonly NextToken[];
}

export interface Result {
  readonly direction: Direction;
  readonly ids: readonly string[];
  readonly stage: "computing" | "done" | "failed";
  readonly message: string;
  readonly effect: Effect | null;
  readonly text: readonly [before: string, after: string] | null;
}

export interface Choice {
  shown?: PanelId;
  direction?: Direction;
  selected?: readonly string[];
}

/** The other side; each returns false where nobody hears it. */
export interface Host {
  choose(values: Choice): boolean;
  act(what: "cancel" | "resume"): boolean;
}

export const EMPTY: Live = {
  state: "empty",
  progress: 0,
  message: "",
  model: "",
  method: "noising",
  warning: "",
  clean: [],
  corrupted: null,
  answers: null,
  layers: 0,
  panels: [],
  metric: null,
  given: [],
};

/** A mark of a heatmap, a row (no index) or a column (no layer). */
export interface Part {
  readonly panel: PanelId;
  readonly layer: number | null;
  readonly index: number | null;
}

export function partId(part: Part): string {
  const layer = part.layer === null ? "" : `.L${part.layer}`;
  const kind = part.panel === "heads" ? "h" : "p";
  return `${part.panel}${layer}${part.index === null ? "" : `.${kind}${part.index}`}`;
}

export function parsePart(id: string): Part | null {
  const found = /^(residual|attention|mlp|heads)(?:\.L(\d+))?(?:\.[ph](\d+))?$/.exec(id);
  if (!found) return null;
  const [, panel, layer, index] = found;
  return {
    panel: panel as PanelId,
    layer: layer === undefined ? null : Number(layer),
    index: index === undefined ? null : Number(index),
  };
}

export function resultKey(direction: Direction, ids: readonly string[]): string {
  return JSON.stringify([direction, ...ids]);
}

/** Where a panel's numbers begin in the values, and how many there are. */
export function span(live: Live, id: PanelId): readonly [start: number, size: number] {
  let start = 0;
  for (const panel of live.panels) {
    const size = live.layers * panel.columns;
    if (panel.id === id) return [start, size];
    start += size;
  }
  return [0, 0];
}
