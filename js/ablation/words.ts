/** Sentences and names; everything that is read is made here. */
import { minus, number, percent, plural, probability, tokenText } from "../shared/format";
import { type Controls, type Live, type Metric, type Part, parsePart } from "./state";

const WHAT = { residual: "stream", attention: "attention", mlp: "MLP", heads: "head" } as const;

/** The tokens of the run that is edited. */
export function runTokens(live: Live): readonly string[] {
  return live.method === "denoising" && live.corrupted ? live.corrupted : live.clean;
}

export function partName(part: Part, live: Live): string {
  const layer = part.layer === null ? "" : `L${part.layer} `;
  if (part.panel === "heads") {
    return part.index === null ? `${layer}all heads` : `${layer}head ${part.index}`;
  }
  const what = `${layer}${WHAT[part.panel]}`;
  if (part.index === null) return `${what}, all positions`;
  const where = `${what} at “${tokenText(runTokens(live)[part.index] ?? "")}”`;
  return part.layer === null ? `${where}, all layers` : where;
}

/** What stands small beside the name. */
export function partPlace(part: Part): string {
  if (part.panel === "heads" || part.index === null) return "";
  return `position ${part.index}`;
}

export function itemName(id: string, live: Live): string {
  const part = parsePart(id);
  return part ? partName(part, live) : id;
}

export function metricTitle(metric: Metric): string {
  const tokens = metric.tokens.map(tokenText).join(" − ");
  return tokens === "" ? metric.name : `${metric.name} ${tokens}`;
}

/** An effect with its sign; what is nothing at this scale is 0. */
export function effect(value: number, scale = 0): string {
  if (!Number.isFinite(value)) return "none";
  if (Math.abs(value) < Math.max(5e-4 * scale, 1e-12)) return "0";
  const size = Math.abs(value);
  const digits = size >= 99.5 ? 0 : size >= 0.995 ? 1 : 2;
  const text = size >= 0.01 ? size.toFixed(digits) : number(size);
  return `${value < 0 ? "−" : "+"}${text}`;
}

/** The same in a mark of the heatmap, as short as can be. */
export function short(value: number): string {
  const size = Math.abs(value);
  const text = size >= 9.95 ? size.toFixed(0) : size >= 0.95 ? size.toFixed(1) : size.toFixed(2);
  return `${value < 0 ? "−" : "+"}${text.replace(/^0\./, ".")}`;
}

export function withUnit(text: string, unit: string): string {
  return unit ? `${text} ${unit}` : text;
}

/** What share of the way to the other run an effect is. */
export function share(value: number, metric: Metric, live: Live): string {
  if (metric.full === null || Math.abs(metric.full - metric.base) < 1e-9) return "";
  const other = live.method === "denoising" ? "clean" : "corrupted";
  return `${percent(value / (metric.full - metric.base))} of the way to the ${other} run`;
}

export function controlsText(controls: Controls, scale: number): string {
  const [mean, low, high] = [controls.mean, controls.low, controls.high].map((v) =>
    effect(v, scale),
  );
  return `${mean} (95%: ${low} to ${high})`;
}

export function methodSentence(live: Live): string {
  switch (live.method) {
    case "noising":
      return "The clean prompt runs; a mark gets what the corrupted run has there. What breaks the answer was needed.";
    case "denoising":
      return "The corrupted prompt runs; a mark gets what the clean run has there. What repairs the answer is enough.";
    case "mean":
      return "The prompt runs; a mark is set to its mean over the reference text.";
    case "zero":
      return "The prompt runs; a mark is set to zero.";
  }
}

export function stateSentence(live: Live): string {
  switch (live.state) {
    case "empty":
      return "Nothing to show: iw.ablate(model, prompt) makes a view that is full.";
    case "computing":
      return live.metric ? `${live.message} computed` : "Running the prompts …";
    case "done": {
      const parts = live.panels.reduce((sum, panel) => sum + live.layers * panel.columns, 0);
      return plural(parts, "part");
    }
    case "cancelled":
      return `Cancelled after ${live.message}; what is blank can still be clicked.`;
    case "failed":
      return ended(live.message);
  }
}

export function ended(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

export function baseText(metric: Metric): string {
  return withUnit(minus(number(metric.base)), metric.unit);
}

export function says(answer: readonly [string, number]): string {
  return `${tokenText(answer[0])} ${probability(answer[1])}`;
}

/** How a selection of several things adds up, as far as the controls allow to say. */
export function together(sum: number, joint: number, controls: Controls): string {
  const noise = (controls.high - controls.low) / 2;
  if (Math.abs(joint - sum) <= noise) {
    return "Together about what they add up to, within what random changes do.";
  }
  if (Math.sign(joint) !== Math.sign(sum)) return "Together the other way than added up.";
  return Math.abs(joint) < Math.abs(sum)
    ? "Together less than added up: part of what they do is the same."
    : "Together more than added up: each does more where the others are changed, too.";
}

/** Words of the second text that are not in the first at the same place. */
export function changedFrom(before: string, after: string): readonly [string, string] {
  const [a, b] = [before.split(/(?<=\s)/), after.split(/(?<=\s)/)];
  let same = 0;
  while (same < a.length && same < b.length && a[same].trim() === b[same].trim()) same++;
  return [b.slice(0, same).join(""), b.slice(same).join("")];
}
