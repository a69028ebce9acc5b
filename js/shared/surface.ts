/**
 * What the drawing code may ask for. Canvas and SVG both implement it, so that an exported
 * figure is the same drawing as the one on screen.
 *
 * Marks come in batches as flat arrays: one path per batch on a canvas, no object per mark.
 */
export interface Pen {
  readonly color: string;
  readonly width: number;
  readonly alpha?: number;
  readonly dash?: readonly number[];
}

export interface Paint {
  readonly fill?: string;
  readonly fillAlpha?: number;
  readonly stroke?: Pen;
}

export interface TextStyle {
  readonly size: number;
  readonly color: string;
  readonly align?: "left" | "center" | "right";
  readonly weight?: number;
  readonly alpha?: number;
  /** Radians, around the anchor. */
  readonly rotate?: number;
  /** A ring of this colour behind the letters keeps them readable over lines. */
  readonly halo?: string;
}

export interface Surface {
  /** Straight segments: x0, y0, x1, y1, … */
  segments(xy: readonly number[], pen: Pen): void;
  /** Links: x0, y0, x1, y1, … each an S-curve that leaves and arrives vertically. */
  curves(xy: readonly number[], pen: Pen): void;
  /** x, y, radius, … */
  circles(xyr: readonly number[], paint: Paint): void;
  /** x, y, half side, … */
  squares(xyr: readonly number[], paint: Paint): void;
  /** x, y, half diagonal, … */
  diamonds(xyr: readonly number[], paint: Paint): void;
  pill(x: number, y: number, width: number, height: number, paint: Paint): void;
  text(text: string, x: number, y: number, style: TextStyle): void;
  clip(x: number, y: number, width: number, height: number, draw: () => void): void;
}

export const FONT = '"Inter","Helvetica Neue",Arial,sans-serif';

export function font(size: number, weight = 400): string {
  return `${weight} ${size}px ${FONT}`;
}

export type Measure = (text: string, size: number, weight?: number) => number;

/** Text widths, cached; a canvas context is only the ruler. */
export function createMeasure(): Measure {
  const ctx = document.createElement("canvas").getContext("2d");
  const widths = new Map<string, number>();
  return (text, size, weight = 400) => {
    const key = `${size}/${weight}/${text}`;
    let width = widths.get(key);
    if (width === undefined) {
      if (ctx) ctx.font = font(size, weight);
      width = ctx ? ctx.measureText(text).width : text.length * size * 0.55;
      if (widths.size > 20_000) widths.clear();
      widths.set(key, width);
    }
    return width;
  };
}

/** The longest beginning of `text` that fits, with an ellipsis where it was cut. */
export function truncate(text: string, width: number, size: number, measure: Measure): string {
  if (measure(text, size) <= width) return text;
  const letters = [...text];
  let low = 0;
  let high = letters.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (measure(`${letters.slice(0, middle).join("")}…`, size) <= width) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? "" : `${letters.slice(0, low).join("")}…`;
}
