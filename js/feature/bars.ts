/**
 * Small histograms and the bar of shares. Heights are square roots of counts, as everywhere in the
 * house: a few strong activations stay visible beside thousands of weak ones.
 */
import { h } from "../shared/dom";
import { number, percent } from "../shared/format";
import { place } from "./words";

const WIDTH = 200;
const HEIGHT = 34;
const SVG = "http://www.w3.org/2000/svg";

function svg(name: string, attrs: Record<string, string | number>): SVGElement {
  const el = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attrs)) el.setAttribute(key, String(value));
  return el;
}

export interface HistogramShown {
  readonly edges: readonly number[];
  readonly counts: readonly number[];
  /** Where this feature, or “here”, stands; null: no mark. */
  readonly mark: number | null;
  readonly markName: string;
  /** How an edge is written below the axis. */
  readonly tick: (edge: number) => string;
  readonly className: string;
  /** What it says, for those who do not see it. */
  readonly says: string;
}

export function histogram(shown: HistogramShown): HTMLElement {
  const { edges, counts, mark, tick } = shown;
  const low = edges[0];
  const span = edges[edges.length - 1] - low || 1;
  const x = (value: number) => ((value - low) / span) * WIDTH;
  const most = Math.max(1, ...counts);
  const parts = counts.map((n, at) => {
    if (!(n > 0)) return "";
    const left = x(edges[at]) + 0.5;
    const right = Math.max(left + 0.5, x(edges[at + 1]) - 0.5);
    const top = HEIGHT - Math.max(1.5, HEIGHT * Math.sqrt(n / most));
    return `M${left.toFixed(1)} ${HEIGHT}V${top.toFixed(1)}H${right.toFixed(1)}V${HEIGHT}z`;
  });
  const picture = svg("svg", {
    viewBox: `0 -2 ${WIDTH} ${HEIGHT + 3}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": shown.says,
    class: `iw-c-histogram ${shown.className}`,
  });
  picture.append(
    svg("path", { d: parts.join(""), class: "iw-c-bars" }),
    svg("path", { d: `M0 ${HEIGHT}.5H${WIDTH}`, class: "iw-c-axis" }),
  );
  const inside = mark !== null && Number.isFinite(mark);
  const at = inside ? Math.min(100, Math.max(0, (100 * (mark - low)) / span)) : 0;
  return h(
    "div",
    { class: "iw-c-chart", title: shown.says },
    picture as unknown as HTMLElement,
    inside &&
      h(
        "i",
        { class: "iw-c-marker", attrs: { "aria-hidden": "true" }, style: { left: `${at}%` } },
        h("span", { class: at > 55 ? "iw-c-left" : "" }, shown.markName),
      ),
    h(
      "div",
      { class: "iw-c-ticks", attrs: { "aria-hidden": "true" } },
      h("span", {}, tick(low)),
      h("span", {}, tick(low + span / 2)),
      h("span", {}, tick(low + span)),
    ),
  );
}

/** Edges that are log10 of shares: 0.01%, 1%. */
export function shareTick(edge: number): string {
  const value = 10 ** edge;
  return value < 1e-4 ? `${number(value * 100)}%` : percent(value);
}

/** One bar cut into shares; wide ones carry their name. */
export function shareBar(parts: readonly { to: string; share: number }[]): HTMLElement {
  const shown = parts.filter(({ share }) => share > 0);
  const most = Math.max(1e-9, ...shown.map(({ share }) => share));
  return h(
    "div",
    { class: "iw-c-shares", attrs: { "aria-hidden": "true" } },
    ...shown.map(({ to, share }) =>
      h(
        "i",
        {
          title: `${percent(share)} to ${place(to)}`,
          style: {
            "flex-grow": share.toFixed(4),
            "--iw-alpha": `${(12 + (34 * share) / most).toFixed(0)}%`,
          },
        },
        share > 0.1 && (to === "output" ? "out" : to),
      ),
    ),
  );
}
