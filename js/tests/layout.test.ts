import { describe, expect, it } from "vitest";
import { cellOrder, columnWeights, layout } from "../graph/layout";
import { overlaps, place, type Wanted } from "../graph/place";
import { random, randomGraph } from "./make";

function arranged(
  seed: number,
  n: number,
  width: number,
  height: number,
  forced = new Set<number>(),
) {
  const graph = randomGraph(seed, n, 6, 9);
  const kept = new Uint8Array(graph.n).fill(1);
  const space = { width, height, scale: 1 };
  const result = layout(graph, cellOrder(graph), columnWeights(graph), kept, forced, space);
  return { graph, result };
}

describe("layout", () => {
  it("puts every kept node on the page, or says that there are more", () => {
    for (const [seed, n, width] of [
      [1, 60, 520],
      [2, 400, 520],
      [3, 1500, 300],
    ]) {
      const { graph, result } = arranged(seed, n, width, 400);
      const hidden = result.more.reduce((sum, more) => sum + more.count, 0);
      const shown = result.shown.reduce((sum, s) => sum + s, 0);
      expect(shown + hidden).toBe(graph.n);
      for (let i = 0; i < graph.n; i++) {
        expect(result.x[i]).toBeGreaterThanOrEqual(-8);
        expect(result.x[i]).toBeLessThanOrEqual(width + 8);
        expect(result.y[i]).toBeGreaterThanOrEqual(0);
        expect(result.y[i]).toBeLessThanOrEqual(400);
      }
    }
  });

  it("keeps marks of one cell apart", () => {
    const { graph, result } = arranged(4, 300, 900, 500);
    for (let a = 0; a < graph.n; a++) {
      for (let b = a + 1; b < graph.n; b++) {
        if (!result.shown[a] || !result.shown[b]) continue;
        if (graph.row(a) !== graph.row(b) || graph.column(a) !== graph.column(b)) continue;
        const apart = Math.hypot(result.x[a] - result.x[b], result.y[a] - result.y[b]);
        expect(apart).toBeGreaterThanOrEqual(Math.min(result.r[a], result.r[b]) * 1.6);
      }
    }
  });

  it("shows what the reader chose even in a crowded cell", () => {
    const { graph, result } = arranged(5, 900, 300, 300);
    const hidden = [...Array(graph.n).keys()].filter((i) => !result.shown[i]);
    expect(hidden.length).toBeGreaterThan(10);
    const forced = new Set(hidden.slice(0, 1));
    const again = arranged(5, 900, 300, 300, forced).result;
    for (const i of forced) expect(again.shown[i]).toBe(1);
  });

  it("does not move columns when fewer nodes are kept", () => {
    const graph = randomGraph(6, 200);
    const order = cellOrder(graph);
    const weights = columnWeights(graph);
    const space = { width: 600, height: 300, scale: 1 };
    const all = layout(graph, order, weights, new Uint8Array(graph.n).fill(1), new Set(), space);
    const few = layout(graph, order, weights, new Uint8Array(graph.n), new Set(), space);
    expect([...few.edges]).toEqual([...all.edges]);
  });
});

describe("place", () => {
  it("never lets two labels touch, and keeps them in bounds", () => {
    const bounds = { x: 0, y: 0, w: 500, h: 300 };
    for (let seed = 1; seed <= 40; seed++) {
      const next = random(seed);
      const wanted: Wanted[] = Array.from({ length: 80 }, (_, k) => ({
        key: String(k),
        w: 20 + next() * 120,
        h: 17,
        ax: next() * 500,
        ay: next() * 300,
        ar: 2 + next() * 5,
        reach: next() < 0.5 ? 4 : 56,
      }));
      const placed = place(wanted, bounds, [], () => next());
      expect(placed.length).toBeGreaterThan(5);
      placed.forEach((a, k) => {
        expect(a.x).toBeGreaterThanOrEqual(0);
        expect(a.x + a.w).toBeLessThanOrEqual(500);
        expect(a.y + a.h).toBeLessThanOrEqual(300);
        for (const b of placed.slice(k + 1)) expect(overlaps(a, b)).toBe(false);
      });
    }
  });

  it("serves the first label first", () => {
    const same = { w: 60, h: 17, ax: 50, ay: 40, ar: 4, reach: 0 };
    const bounds = { x: 0, y: 0, w: 100, h: 60 };
    const placed = place(
      [
        { ...same, key: "first" },
        { ...same, key: "second" },
      ],
      bounds,
      [],
      () => 0,
    );
    expect(placed[0]?.key).toBe("first");
  });
});
