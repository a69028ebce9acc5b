/**
 * What fires on a prompt, ready to be ranked. The strength of a cell is |activation| over what is
 * strong in its layer. For k brushed tokens out of N (special tokens that are not brushed do not
 * count),
 *
 *   more = mean strength on the brushed tokens - mean strength on the others,
 *
 * and for a random choice of as many tokens `more` is 0 on average with the standard deviation
 *
 *   chance = s N / sqrt(k (N - 1) (N - k)),   s: the population deviation of the row's strengths.
 *
 * `views/text_ranking.py` computes the same.
 */
import { tokenText } from "../shared/format";
import type { Decoded, Usual } from "./buffer";

/** A feature, as Python names it. */
export type Unit = readonly [layer: number, feature: number];

export interface More {
  readonly more: number;
  readonly here: number;
  readonly elsewhere: number;
  /** NaN where there are no others. */
  readonly chance: number;
}

export class Firing {
  readonly tokens: readonly string[];
  readonly rows: number;
  /** By row: the largest strength, and where; special tokens count only if there is nothing else. */
  readonly peak: Float32Array;
  readonly peakAt: Int32Array;
  readonly layers: readonly number[];
  private readonly strong: Float32Array;
  private readonly byUnit = new Map<string, number>();
  private usual: Usual | null = null;

  constructor(readonly data: Decoded) {
    const { header, sections } = data;
    const { layer, feature, ptr, position, value } = sections;
    this.tokens = header.tokens;
    this.rows = header.rows;
    this.peak = new Float32Array(this.rows);
    this.peakAt = new Int32Array(this.rows);
    this.strong = new Float32Array(this.rows);
    const layers = new Set<number>();
    for (let r = 0; r < this.rows; r++) {
      layers.add(layer[r]);
      this.byUnit.set(`${layer[r]}/${feature[r]}`, r);
      this.strong[r] = header.strong[layer[r]] || 1;
      let best = -1;
      let most = -1;
      for (let c = ptr[r]; c < ptr[r + 1]; c++) {
        const size = Math.abs(value[c]) * (position[c] < header.special ? 1e-6 : 1);
        if (size > most) [best, most] = [c, size];
      }
      if (best < 0) continue;
      this.peak[r] = most / this.strong[r];
      this.peakAt[r] = position[best];
    }
    this.layers = [...layers].sort((a, b) => a - b);
  }

  get twoSided(): boolean {
    return this.data.header.unit !== "feature";
  }

  /** What the index says, if it is about these rows. */
  setUsual(usual: Usual | null): void {
    const { run, rows, cells } = this.data.header;
    const fits =
      usual?.header.run === run && usual.header.rows === rows && usual.header.cells === cells;
    this.usual = fits ? usual : null;
  }

  get indexedTokens(): number {
    return this.usual?.header.n_tokens ?? 0;
  }

  unit(row: number): Unit {
    const { layer, feature } = this.data.sections;
    return [layer[row], feature[row]];
  }

  /** -1 where it does not fire on the prompt, or has no row. */
  rowOf([layer, feature]: Unit): number {
    return this.byUnit.get(`${layer}/${feature}`) ?? -1;
  }

  code(row: number): string {
    return codeOf(this.unit(row));
  }

  label(row: number): string {
    return this.data.header.names[row];
  }

  name(row: number): string {
    return this.label(row) || this.code(row);
  }

  token(position: number): string {
    return tokenText(this.tokens[position] ?? "");
  }

  /** The cells of a row as [from, to). */
  span(row: number): readonly [from: number, to: number] {
    const { ptr } = this.data.sections;
    return [ptr[row], ptr[row + 1]];
  }

  /** -1 where the row is not active. */
  cell(row: number, position: number): number {
    const at = this.data.sections.position;
    let [low, high] = this.span(row);
    while (low < high) {
      const middle = (low + high) >> 1;
      if (at[middle] < position) low = middle + 1;
      else high = middle;
    }
    return low < this.span(row)[1] && at[low] === position ? low : -1;
  }

  /** With the sign of the activation. */
  strength(row: number, cell: number): number {
    return this.data.sections.value[cell] / this.strong[row];
  }

  value(cell: number): number {
    return this.data.sections.value[cell];
  }

  /** How much an activation of 1 is, in strength. */
  unitStrength(row: number): number {
    return 1 / this.strong[row];
  }

  /** By row, from the index; null without one. */
  density(row: number): { share: number; count: number; mean: number } | null {
    if (!this.usual) return null;
    const { count, mean } = this.usual.sections;
    const share = count[row] / Math.max(1, this.usual.header.n_tokens);
    return { share, count: count[row], mean: mean[row] / this.strong[row] };
  }

  /** The share of the feature's activations in the index that are weaker, in percent. */
  percentile(cell: number): number {
    return this.usual?.sections.percentile[cell] ?? Number.NaN;
  }

  /** How many rows are active at a position. */
  activeAt(position: number): number {
    const at = this.data.sections.position;
    let count = 0;
    for (let c = 0; c < at.length; c++) if (at[c] === position) count++;
    return count;
  }

  /** Positions as a choice of tokens that rows can be compared on. */
  brush(positions: Iterable<number>): Brush {
    const { special } = this.data.header;
    const on = new Uint8Array(this.tokens.length);
    for (const p of positions) on[p] = 1;
    let [k, total] = [0, 0];
    for (let p = 0; p < on.length; p++) {
      k += on[p];
      if (on[p] || p >= special) total++;
    }
    return { on, k, total };
  }

  /** See the top of the file. */
  more(row: number, { on, k, total }: Brush): More {
    const { special } = this.data.header;
    const { position, value } = this.data.sections;
    const [from, to] = this.span(row);
    const strong = this.strong[row];
    let [inside, outside, squares] = [0, 0, 0];
    for (let c = from; c < to; c++) {
      const p = position[c];
      if (!on[p] && p < special) continue;
      const size = Math.abs(value[c]) / strong;
      if (on[p]) inside += size;
      else outside += size;
      squares += size * size;
    }
    const others = total - k;
    const here = inside / k;
    const elsewhere = others > 0 ? outside / others : 0;
    const mean = (inside + outside) / total;
    const deviation = Math.sqrt(Math.max(0, squares / total - mean * mean));
    const chance =
      others > 0 && total > 1
        ? (deviation * total) / Math.sqrt(k * (total - 1) * others)
        : Number.NaN;
    return { more: here - elsewhere, here, elsewhere, chance };
  }
}

/** on: by position, 1 where it is brushed; k of them; total: those and all others that count. */
export interface Brush {
  readonly on: Uint8Array;
  readonly k: number;
  readonly total: number;
}

export function codeOf([layer, feature]: Unit): string {
  return `L${layer}/${feature}`;
}
