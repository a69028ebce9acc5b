/**
 * Which rows are shown, in which order. The strongest are chosen (on the brushed tokens against the
 * rest, if there are any), of those layers and names that are wanted; then they are arranged. What
 * is selected is always among them.
 */
import { codeOf, type Firing, type More } from "./firing";
import type { Choice } from "./state";

export interface Shown {
  /** Rows of the firing, from the top. */
  readonly rows: Int32Array;
  /** What a row of the firing is ranked by, and its parts if tokens are brushed. */
  value(row: number): number;
  more(row: number): More | null;
  /** So many rows could be shown. */
  readonly found: number;
  /** Selected features that do not fire here. */
  readonly silent: readonly string[];
}

export const NO_ROWS: Shown = {
  rows: new Int32Array(),
  value: () => 0,
  more: () => null,
  found: 0,
  silent: [],
};

export function choose(firing: Firing, choice: Choice, query: string): Shown {
  const wanted = parse(query);
  const layers = new Set(choice.layers);
  const brush = choice.tokens.length > 0 ? firing.brush(choice.tokens) : null;
  const scored = (row: number) => (brush ? firing.more(row, brush).more : firing.peak[row]);
  const score = new Float64Array(firing.rows);
  const found: number[] = [];
  for (let row = 0; row < firing.rows; row++) {
    if (layers.size > 0 && !layers.has(firing.unit(row)[0])) continue;
    if (wanted && !wanted(firing, row)) continue;
    score[row] = scored(row);
    found.push(row);
  }
  const stronger = (a: number, b: number) => score[b] - score[a] || a - b;
  const kept = found.sort(stronger).slice(0, choice.rows);
  const known = new Set(kept);
  const silent: string[] = [];
  for (const unit of choice.selected) {
    const row = firing.rowOf(unit);
    if (row < 0) silent.push(codeOf(unit));
    else if (!known.has(row)) {
      known.add(row);
      kept.push(row);
      score[row] = scored(row);
    }
  }
  const layer = (row: number) => firing.unit(row)[0];
  if (choice.arrange === "strength") kept.sort(stronger);
  // Later layers on top, as in a graph.
  else if (choice.arrange === "layer") {
    kept.sort(
      (a, b) => layer(b) - layer(a) || firing.peakAt[a] - firing.peakAt[b] || stronger(a, b),
    );
  } else {
    kept.sort(
      (a, b) => firing.peakAt[a] - firing.peakAt[b] || layer(a) - layer(b) || stronger(a, b),
    );
  }
  return {
    rows: Int32Array.from(kept),
    value: (row) => score[row],
    more: (row) => (brush ? firing.more(row, brush) : null),
    found: found.length,
    silent,
  };
}

type Test = (firing: Firing, row: number) => boolean;

/** Words that must all occur in the label or begin the name: texas, L2/117, L2. */
function parse(query: string): Test | null {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return null;
  return (firing, row) => {
    const label = firing.label(row).toLowerCase();
    const code = firing.code(row).toLowerCase();
    return words.every((word) =>
      /^l\d+$/.test(word)
        ? code.startsWith(`${word}/`) || label.includes(word)
        : label.includes(word) || code === word || code.split("/")[1] === word,
    );
  };
}

export interface Shade {
  /** 0 to 1. */
  readonly alpha: number;
  readonly negative: boolean;
}

/** How tokens are shaded by some rows: each by the strongest of them there. */
export function shades(firing: Firing, rows: Iterable<number>): Shade[] {
  const alpha = new Float32Array(firing.tokens.length);
  for (const row of rows) {
    const [from, to] = firing.span(row);
    for (let c = from; c < to; c++) {
      const at = firing.data.sections.position[c];
      const strength = firing.strength(row, c);
      if (Math.abs(strength) > Math.abs(alpha[at])) alpha[at] = strength;
    }
  }
  return Array.from(alpha, (strength) => ({
    alpha: shade(strength, firing.twoSided),
    negative: strength < 0,
  }));
}

/** Colour by strength; a feature that fires at all can be seen. */
export function shade(strength: number, twoSided: boolean): number {
  const size = Math.min(1, Math.abs(strength));
  if (size === 0) return 0;
  return twoSided ? size : 0.08 + 0.92 * size;
}
