/** The two histograms of a card: how often its layer's features fire, and how strongly this one. */
import { signed } from "../shared/format";
import { histogram } from "./bars";
import type { Card } from "./state";
import { activationBar, activationsText, densityBar, densityText, shareText } from "./words";

export type Often = Pick<Card, "density" | "unit" | "layer">;
export type Strongly = Pick<Card, "activations"> & { readonly times: number | null };

export function drawDensity(card: Often): HTMLElement[] {
  const { density } = card;
  if (!density) return [];
  return histogram({
    edges: density.edges,
    counts: density.counts,
    mark: density.value && density.value > 0 ? Math.log10(density.value) : null,
    markName: "this",
    tick: shareText,
    bar: (from, to, n) => densityBar(card, from, to, n),
    className: "iw-c-ink",
    name: "Share of tokens on which features fire, by number of features.",
    says: densityText(card),
  });
}

export function drawActivations({ activations, times }: Strongly): HTMLElement[] {
  if (!activations) return [];
  return histogram({
    edges: activations.edges,
    counts: activations.counts,
    mark: activations.here,
    markName: "here",
    tick: (edge) => (edge === 0 ? "0" : signed(edge, 1).replace(/^\+/, "")),
    bar: activationBar,
    className: "iw-c-act",
    name: "Activations, by number of tokens.",
    says: activationsText(activations, times),
  });
}
