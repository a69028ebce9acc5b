/**
 * Label placement. Each label tries places around its node, near ones first, and takes the one
 * that covers fewest marks; it never touches another label. What finds no place is not drawn.
 */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export interface Wanted {
  readonly key: string;
  readonly w: number;
  readonly h: number;
  /** Anchor: the mark this label names, and that mark's radius. */
  readonly ax: number;
  readonly ay: number;
  readonly ar: number;
  /** How far it may stand from its mark; pinned labels may go farther than ambient ones. */
  readonly reach: number;
}

export interface Placed extends Box {
  readonly key: string;
  readonly ax: number;
  readonly ay: number;
}

/** Distance that labels keep from each other. */
const AIR = 2;

export function overlaps(a: Box, b: Box, air = 0): boolean {
  return (
    a.x < b.x + b.w + air && b.x < a.x + a.w + air && a.y < b.y + b.h + air && b.y < a.y + a.h + air
  );
}

/** `wanted` in order of importance; `cost` counts the marks under a box. */
export function place(
  wanted: readonly Wanted[],
  bounds: Box,
  taken: readonly Box[],
  cost: (box: Box) => number,
): Placed[] {
  const boxes: Box[] = [...taken];
  const placed: Placed[] = [];
  for (const label of wanted) {
    let best: Placed | null = null;
    let bestCost = Number.POSITIVE_INFINITY;
    for (const [x, y, far] of candidates(label)) {
      const box = { x, y, w: label.w, h: label.h };
      if (x < bounds.x || y < bounds.y) continue;
      if (x + box.w > bounds.x + bounds.w || y + box.h > bounds.y + bounds.h) continue;
      if (boxes.some((other) => overlaps(box, other, AIR))) continue;
      const price = cost(box) + far * 0.08;
      if (price < bestCost) {
        bestCost = price;
        best = { ...box, key: label.key, ax: label.ax, ay: label.ay };
      }
    }
    if (best) {
      placed.push(best);
      boxes.push(best);
    }
  }
  return placed;
}

/** Left-above first, as in handwriting on a map; then round the clock, then farther out. */
function* candidates(label: Wanted): Generator<[x: number, y: number, far: number]> {
  const { ax, ay, ar, w, h, reach } = label;
  for (let far = 0; far <= reach; far += 7) {
    const d = ar + 4 + far;
    const side = ar + 5 + far;
    yield [ax - w - side * 0.7, ay - h - d * 0.35, far];
    yield [ax + side * 0.7, ay - h - d * 0.35, far + 1];
    yield [ax - w - side, ay - h / 2, far + 1];
    yield [ax + side, ay - h / 2, far + 2];
    yield [ax - w / 2, ay - h - d, far + 2];
    yield [ax - w - side * 0.7, ay + d * 0.35, far + 3];
    yield [ax + side * 0.7, ay + d * 0.35, far + 3];
    yield [ax - w / 2, ay + d, far + 4];
  }
}
