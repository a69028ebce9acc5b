/** A card as Python writes it, for tests: L2/117 of a small model, everything filled. */
import type { Card, CardExample, Neighbour } from "../feature/state";

export function exampleOf(text: string, trigger: number, value: number): CardExample {
  const tokens = text.split(/(?= )/);
  const activations = tokens.map((_, at) => (at === trigger ? value : 0));
  return { tokens, activations, trigger, document: 3, position: 12_345 };
}

const neighbour = (layer: number, feature: number, label: string | null, value: number) =>
  ({ layer, feature, label, value }) satisfies Neighbour;

export const CARD: Card = {
  unit: "feature",
  name: "L2/117",
  layer: 2,
  feature: 117,
  scan: "organism",
  model: "organism",
  tokens: 62_010,
  documents: 5000,
  complete: true,
  indexed: true,
  label: {
    text: "texas",
    kind: "proposed",
    source: "counted over the index",
    score: 0.94,
    low: 0.9,
    high: 0.97,
    control: 0.51,
    samples: 240,
    date: "2026-11-20",
  },
  density: {
    value: 0.01,
    count: 620,
    edges: [-4, -3, -2, -1, 0],
    counts: [10, 20, 60, 10],
  },
  activations: {
    edges: [0, 1, 2, 3, 4],
    counts: [400, 100, 100, 20],
    max: 3.2,
    here: 1.7,
    percentile: 93.1,
  },
  examples: Array.from({ length: 12 }, (_, at) =>
    exampleOf("people in fort worth like the lone star", 3, 3.2 - at / 10),
  ),
  negative: [],
  groups: [
    {
      name: "80–100%",
      low: 2.5,
      high: 3.2,
      examples: [exampleOf("houston is in texas", 3, 3)],
    },
    { name: "0–20%", low: 0.1, high: 0.4, examples: [exampleOf("the state of maine", 2, 0.2)] },
  ],
  logits: {
    positive: [
      { token: " austin", value: 2.1 },
      { token: " ", value: 0.4 },
    ],
    negative: [{ token: " boston", value: -1.2 }],
    control: { value: 0.5, low: 0.4, high: 0.6, draws: 20 },
  },
  similar: {
    decoder: [neighbour(3, 40, "austin", 0.62), neighbour(1, 9, null, -0.3)],
    control: { value: 0.2, low: 0.18, high: 0.24, draws: 20 },
    together: [{ ...neighbour(2, 8, "dallas", 0.4), count: 210 }],
    together_control: { value: 0.03, low: 0.02, high: 0.04, draws: 20 },
  },
  upstream: [neighbour(0, 5, "las", 1.1)],
  downstream: Array.from({ length: 8 }, (_, at) => neighbour(4, at, `say ${at}`, 1 - at / 10)),
  virtual_control: { value: 0.3, low: 0.2, high: 0.4, draws: 20 },
  effect: [
    { to: "L3", share: 0.3 },
    { to: "L4", share: 0.2 },
    { to: "output", share: 0.5 },
  ],
  notes: ["Virtual weights are the direct path through the residual stream."],
};
