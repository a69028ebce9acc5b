/** The sentences of a card: every number with its control, and on how many samples it rests. */
import { count, number, percent, plural, probability } from "../shared/format";
import type { Card, Control, Label } from "./state";

type Score = Pick<Label, "score" | "low" | "high" | "control" | "samples"> &
  Partial<Pick<Label, "active" | "by" | "testing">>;

/** “.94 [.90, .97]” and, of random labels, “.51”. */
export function scoreParts({ score, low, high, control }: Score): readonly [string, string] {
  if (score === null) return ["not tested", ""];
  const range = low !== null && high !== null ? ` [${probability(low)}, ${probability(high)}]` : "";
  return [`${probability(score)}${range}`, control === null ? "" : probability(control)];
}

/** “on 12 active and 400 other tokens” */
export function samplesText({ samples, active }: Score): string {
  if (active !== undefined)
    return `on ${plural(active, "active", "active")} and ${count(samples - active)} other tokens`;
  return samples > 0 ? `on ${plural(samples, "sample")}` : "";
}

/** “separates .94 [.90, .97]; random labels .51 on 12 active and 400 other tokens” */
export function scoreText(label: Score): string {
  if (label.score === null) return label.testing ? "testing it on other text …" : "not tested";
  const examples = label.by === "examples";
  const [separates, random] = scoreParts(label);
  const others = examples ? "those of random features" : "random labels";
  const chance = random === "" ? "" : `; ${others} ${random}`;
  const on = samplesText(label);
  return `${examples ? "its examples separate" : "separates"} ${separates}${chance}${on && ` ${on}`}`;
}

export const SCORE_HELP =
  "How well the label tells text the feature is active on from other held-out text: area under the ROC curve, 0.5 is chance, 1 is perfect. In brackets the 95% range; beside it the same for random labels. Words that are no rule cannot be tested without a reader: then it is how well the examples tell it, whatever they are called.";

/** What a score is, and on which text it was measured. */
export function scoreHelp(label: Label | null): string {
  if (label?.why) return `Not tested: ${label.why}`;
  return label?.tested_on ? `${SCORE_HELP} Tested on ${label.tested_on}.` : SCORE_HELP;
}

export function origin(label: Label): string {
  return [label.kind, label.source && label.source !== label.kind ? label.source : "", label.date]
    .filter(Boolean)
    .join(" · ");
}

/** One line on how often and how strongly. */
export function factsText(card: Card): string {
  if (!card.indexed || !card.density) return "";
  const { value, count: times } = card.density;
  const known = card.tokens === null ? "tokens" : plural(card.tokens, "token");
  const on = `${known}${card.complete ? "" : " indexed so far"}`;
  if (times === 0) return `never active on ${on}`;
  const top = card.activations?.max ? ` · strongest ${strongestText(card.activations)}` : "";
  if (value === null) return top.replace(" · ", "");
  const often = times === null ? "" : ` (${plural(times, "time")})`;
  return `active on ${percent(value)} of ${on}${often}${top}`;
}

/** The activation furthest from zero, with its sign: `max` has none. */
function strongestText({ edges, max }: NonNullable<Card["activations"]>): string {
  const below = edges.length > 0 && -edges[0] > edges[edges.length - 1];
  return number(below ? -(max ?? 0) : (max ?? 0));
}

/** Where there are no examples: why, and what else there is. */
export function silentText(card: Card, test: boolean): string {
  const known = card.tokens === null ? "tokens" : plural(card.tokens, "token");
  const where = `It fires on none of the ${known} ${card.complete ? "that are indexed" : "indexed so far"}.`;
  const type = test ? "type a text that might wake it, or " : "";
  const rest = `${type}see what its weights write and who reads it`;
  return `${where} ${rest.charAt(0).toUpperCase()}${rest.slice(1)}.`;
}

/** What share of the counts lies below a value: a bin that holds it counts by its half. */
export function below(
  edges: readonly number[],
  counts: readonly number[],
  value: number,
): number | null {
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (total === 0) return null;
  let under = 0;
  counts.forEach((n, at) => {
    if (edges[at + 1] <= value) under += n;
    else if (edges[at] <= value) under += n / 2;
  });
  return under / total;
}

export function densityText(card: Pick<Card, "density" | "unit" | "layer">): string {
  const { density } = card;
  if (density?.value == null) return "";
  const units = `${card.unit}s of L${card.layer}`;
  if (!(density.value > 0)) return `It is never active; the bars are the ${units} that are.`;
  const share = below(density.edges, density.counts, Math.log10(density.value));
  const rank = share === null ? "" : `, more often than ${percent(share)} of the ${units}`;
  return `active on ${percent(density.value)} of tokens${rank}`;
}

export function activationsText(
  activations: NonNullable<Card["activations"]>,
  known: number | null,
): string {
  const all = known ?? activations.counts.reduce((sum, n) => sum + n, 0);
  const times = plural(all, "active token");
  if (activations.here === null) return `${times}, strongest ${strongestText(activations)}`;
  const rank =
    activations.percentile === null
      ? ""
      : `, stronger than ${percent(activations.percentile / 100)} of ${times}`;
  return `here ${number(activations.here)}${rank}`;
}

/** What one bar of each histogram counts; edges of the first are log10 of shares. */
export function densityBar(
  { unit, layer }: Pick<Card, "unit" | "layer">,
  from: number,
  to: number,
  n: number,
): string {
  return `${shareText(from)} to ${shareText(to)} of tokens: ${plural(n, unit)} of L${layer}`;
}

export function activationBar(from: number, to: number, n: number): string {
  return `activation ${number(from)} to ${number(to)}: ${plural(n, "token")}`;
}

/** An edge that is the log10 of a share: 0.01%, 1%. */
export function shareText(edge: number): string {
  const value = 10 ** edge;
  return value < 1e-4 ? `${number(value * 100)}%` : percent(value);
}

/** “random directions of equal norm: 0.31 [0.28, 0.35], 20 draws” */
export function controlText(what: string, control: Control | null): string {
  if (!control) return "";
  const { value, low, high, draws } = control;
  return `${what}: ${number(value)} [${number(low)}, ${number(high)}], ${plural(draws, "draw")}`;
}

/** The largest shares in words, the rest summed. */
export function effectText(effect: readonly { to: string; share: number }[]): string {
  const sorted = [...effect].filter(({ share }) => share > 0).sort((a, b) => b.share - a.share);
  const first = sorted.slice(0, 4);
  const rest = sorted.slice(4).reduce((sum, { share }) => sum + share, 0);
  const parts = first.map(({ to, share }) => `${percent(share)} to ${place(to)}`);
  if (rest > 0) parts.push(`${percent(rest)} to ${plural(sorted.length - 4, "other place")}`);
  return parts.join(", ");
}

export const place = (to: string): string => (to === "output" ? "the output" : to);

export function spotText(card: { tokens: number; documents: number; scan: string }): string {
  return `${count(card.tokens)} tokens of ${plural(card.documents, "text")}, ${card.scan}`;
}
