/** The sentences of a card: every number with its control, and on how many samples it rests. */
import { count, number, percent, plural, probability } from "../shared/format";
import type { Card, Control, Label } from "./state";

type Score = Pick<Label, "score" | "low" | "high" | "control" | "samples"> &
  Partial<Pick<Label, "active" | "by" | "testing">>;

/** “separates .94 [.90, .97]; random labels .51 on 12 active and 400 other tokens” */
export function scoreText(label: Score): string {
  const { score, low, high, control, samples, active } = label;
  if (score === null) return label.testing ? "testing it on other text …" : "not tested";
  const examples = label.by === "examples";
  const range = low !== null && high !== null ? ` [${probability(low)}, ${probability(high)}]` : "";
  const random = examples ? "those of random features" : "random labels";
  const chance = control === null ? "" : `; ${random} ${probability(control)}`;
  const on =
    active !== undefined
      ? ` on ${count(active)} active and ${count(samples - active)} other tokens`
      : samples > 0
        ? ` on ${plural(samples, "sample")}`
        : "";
  return `${examples ? "its examples separate" : "separates"} ${probability(score)}${range}${chance}${on}`;
}

export const SCORE_HELP =
  "How well the label tells text the feature is active on from other held-out text: area under the ROC curve, 0.5 is chance, 1 is perfect. In brackets the 95% range; beside it the same for random labels. Words that are no rule cannot be tested without a reader: then it is how well the examples tell it, whatever they are called.";

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
  const top = card.activations?.max ? ` · strongest ${number(card.activations.max)}` : "";
  if (value === null) return top.replace(" · ", "");
  const often = times === null ? "" : ` (${plural(times, "time")})`;
  return `active on ${percent(value)} of ${on}${often}${top}`;
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

export function densityText(card: Card): string {
  const { density } = card;
  if (density?.value == null) return "";
  const units = `${card.unit}s of L${card.layer}`;
  if (!(density.value > 0)) return `It is never active; the bars are the ${units} that are.`;
  const share = below(density.edges, density.counts, Math.log10(density.value));
  const rank = share === null ? "" : `, more often than ${percent(share)} of the ${units}`;
  return `active on ${percent(density.value)} of tokens${rank}`;
}

export function activationsText(card: Card): string {
  const { activations, density } = card;
  if (!activations) return "";
  const known = density?.count ?? activations.counts.reduce((sum, n) => sum + n, 0);
  const times = plural(known, "active token");
  if (activations.here === null) return `${times}, strongest ${number(activations.max ?? 0)}`;
  const rank =
    activations.percentile === null
      ? ""
      : `, stronger than ${percent(activations.percentile / 100)} of ${times}`;
  return `here ${number(activations.here)}${rank}`;
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
