import { describe, expect, it } from "vitest";
import { Grid } from "../graph/grid";
import { keep } from "../graph/keep";
import { rankDescending } from "../graph/rank";
import { graphOf, random, randomGraph } from "./make";

describe("Graph", () => {
  it("transposes the links", () => {
    for (const seed of [1, 2, 3]) {
      const graph = randomGraph(seed);
      for (let i = 0; i < graph.n; i++) {
        const plain: number[] = [];
        for (let e = 0; e < graph.links; e++) if (graph.at.link_source[e] === i) plain.push(e);
        expect([...graph.outputs(i)].sort((a, b) => a - b)).toEqual(plain);
        for (const e of graph.inputs(i)) expect(graph.target[e]).toBe(i);
      }
    }
  });

  it("takes shares of the full graph's input, or of what arrived while that is unknown", () => {
    const links = [
      [0, 2, 3],
      [1, 2, -1],
    ] as const;
    const known = graphOf([2, 2, 0], { links, columns: { input_sum: [0, 0, 8] } });
    expect([...known.share]).toEqual([0.375, -0.125]);
    const early = graphOf([2, 2, 0], { links });
    expect([...early.share]).toEqual([0.75, -0.25]);
  });

  it("writes places the way people do", () => {
    const graph = graphOf([0, 1, 2, 3], {
      columns: { layer: [3, 3, -1, 4], position: [2, 2, 1, 2], feature: [117, -1, 5, 9] },
      header: { names: ["texas", "", "", "austin"] },
    });
    expect(graph.label(0, {})).toBe("texas");
    expect(graph.label(0, { n0: "mine" })).toBe("mine");
    expect(graph.place(0)).toBe("L3/117 at “las”");
    expect(graph.label(1, {})).toBe("unexplained");
    expect(graph.label(2, {})).toBe("the");
    expect(graph.spoken(0, {})).toBe("texas, layer 3, feature 117, at token las");
  });
});

describe("rankDescending", () => {
  it("orders like a comparator sort, with what is not a number last", () => {
    const next = random(3);
    const values = Float32Array.from({ length: 5000 }, (_, i) =>
      i % 97 === 0 ? Number.NaN : i % 31 === 0 ? 0 : next() ** 9 * 1e4,
    );
    const ranked = [...rankDescending(values)];
    expect(new Set(ranked).size).toBe(values.length);
    const sizes = ranked.map((i) => values[i]);
    const numbers = sizes.filter((v) => !Number.isNaN(v));
    expect(numbers).toEqual([...numbers].sort((a, b) => b - a));
    expect(sizes.slice(0, numbers.length)).toEqual(numbers);
  });
});

describe("Grid", () => {
  it("finds what a search through all points finds", () => {
    const next = random(11);
    const n = 800;
    const x = Float32Array.from({ length: n }, () => next() * 500);
    const y = Float32Array.from({ length: n }, () => next() * 300);
    const shown = Uint8Array.from({ length: n }, () => (next() < 0.8 ? 1 : 0));
    const grid = new Grid(x, y, shown, 500, 300);
    for (let q = 0; q < 400; q++) {
      const [px, py] = [next() * 560 - 30, next() * 360 - 30];
      let best = -1;
      let distance = 30 * 30;
      for (let i = 0; i < n; i++) {
        const d = (x[i] - px) ** 2 + (y[i] - py) ** 2;
        if (shown[i] && d <= distance && (d < distance || best < 0)) {
          best = i;
          distance = d;
        }
      }
      expect(grid.nearest(px, py, 30)).toBe(best);
    }
  });

  it("lists what lies in a box", () => {
    const x = Float32Array.of(1, 50, 99);
    const y = Float32Array.of(1, 50, 99);
    const grid = new Grid(x, y, Uint8Array.of(1, 1, 0), 100, 100);
    expect(grid.within(0, 0, 60, 60)).toEqual([0, 1]);
    expect(grid.within(60, 60, 100, 100)).toEqual([]);
  });
});

describe("keep", () => {
  it("follows the rule, written as plain loops", () => {
    for (let seed = 1; seed <= 12; seed++) {
      const graph = randomGraph(seed);
      const forced = new Set([7, 20 + seed]);
      for (const threshold of [0, 0.2, 0.5, 0.8, 1]) {
        const { kind, cumulative, link_source } = graph.at;
        const kept = Array.from(
          { length: graph.n },
          (_, i) => kind[i] > 1 || forced.has(i) || cumulative[i] <= threshold + 1e-6,
        );
        for (let changed = true; changed; ) {
          changed = false;
          for (let i = 0; i < graph.n; i++) {
            if (!kept[i] || kind[i] > 1 || forced.has(i)) continue;
            let leads = false;
            for (let e = 0; e < graph.links; e++) {
              if (link_source[e] === i && graph.target[e] !== i && kept[graph.target[e]])
                leads = true;
            }
            if (!leads) {
              kept[i] = false;
              changed = true;
            }
          }
        }
        const result = keep(graph, threshold, forced);
        expect([...result.mask].map(Boolean)).toEqual(kept);
        expect(result.count).toBe(kept.filter(Boolean).length);
      }
    }
  });

  it("does not drop a node whose links were too weak to be sent", () => {
    const graph = graphOf([2, 0, 3], { header: { links_total: 9 }, links: [[0, 2, 1]] });
    expect([...keep(graph, 1, new Set()).mask]).toEqual([1, 1, 1]);
  });
});
