/**
 * Small histograms and the bar of shares. Heights are square roots of counts, as everywhere in the
 * house: a few strong activations stay visible beside thousands of weak ones. Under the pointer, or
 * with the arrow keys, a histogram says in its caption what a bar counts.
 */
import { h } from "../shared/dom";
import { percent } from "../shared/format";
import { place } from "./words";

const WIDTH = 200;
const HEIGHT = 34;
const SVG = "http://www.w3.org/2000/svg";
/** Names of ticks stand at least so far apart, in parts of the width. */
const APART = 0.14;

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
  /** What a bar counts, in a sentence. */
  readonly bar: (from: number, to: number, count: number) => string;
  readonly className: string;
  /** The name of the chart, for those who do not see it, and what it says in a sentence. */
  readonly name: string;
  readonly says: string;
}

/** The chart, and its caption below. */
export function histogram(shown: HistogramShown): HTMLElement[] {
  const { edges, counts, mark, tick } = shown;
  const low = edges[0];
  const high = edges[edges.length - 1];
  const span = high - low || 1;
  const part = (value: number) => Math.min(1, Math.max(0, (value - low) / span));
  const most = Math.max(1, ...counts);
  const shape = (at: number) => {
    const n = counts[at];
    if (!(n > 0)) return "";
    const left = WIDTH * part(edges[at]) + 0.5;
    const right = Math.max(left + 0.5, WIDTH * part(edges[at + 1]) - 0.5);
    const top = HEIGHT - Math.max(1.5, HEIGHT * Math.sqrt(n / most));
    return `M${left.toFixed(1)} ${HEIGHT}V${top.toFixed(1)}H${right.toFixed(1)}V${HEIGHT}z`;
  };
  const pointed = svg("path", { d: "", class: "iw-c-pointed" });
  const picture = svg("svg", {
    viewBox: `0 -2 ${WIDTH} ${HEIGHT + 3}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": `${shown.name} ${shown.says}`.trim(),
    class: `iw-c-histogram ${shown.className}`,
  });
  picture.append(
    svg("path", { d: counts.map((_, at) => shape(at)).join(""), class: "iw-c-bars" }),
    pointed,
    svg("path", { d: `M0 ${HEIGHT}.5H${WIDTH}`, class: "iw-c-axis" }),
  );
  const inside = mark !== null && Number.isFinite(mark);
  const at = inside ? 100 * part(mark) : 0;
  const middle = low < 0 && high > 0 ? 0 : low + span / 2;
  const room = part(middle) > APART && part(middle) < 1 - APART;
  const ticks = room ? [low, middle, high] : [low, high];
  const caption = h("p", { class: "iw-c-soft", attrs: { "aria-live": "polite" } }, shown.says);
  const chart = h(
    "div",
    { class: "iw-c-chart", attrs: { tabindex: 0, role: "group", "aria-label": shown.name } },
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
      ...ticks.map((edge) =>
        h("span", { style: { left: `${(100 * part(edge)).toFixed(1)}%` } }, tick(edge)),
      ),
    ),
  );

  /** Keys begin where the feature stands, or at the highest bar. */
  const start = inside ? binOf(edges, mark) : counts.indexOf(most);
  let current = -1;
  const point = (bin: number) => {
    if (bin === current) return;
    current = bin;
    pointed.setAttribute("d", bin < 0 ? "" : shape(bin));
    caption.textContent = bin < 0 ? shown.says : shown.bar(edges[bin], edges[bin + 1], counts[bin]);
  };
  chart.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const value = low + (span * (event.clientX - box.left)) / (box.width || 1);
    point(binOf(edges, value));
  });
  chart.addEventListener("pointerleave", () => point(-1));
  chart.addEventListener("blur", () => point(-1));
  chart.addEventListener("keydown", (event) => {
    const last = counts.length - 1;
    const [left, right] = current < 0 ? [start, start] : [current - 1, current + 1];
    const to = { ArrowLeft: left, ArrowRight: right, Home: 0, End: last }[event.key];
    if (to === undefined || event.altKey) return;
    event.preventDefault();
    point(Math.min(last, Math.max(0, to)));
  });
  return [chart, caption];
}

/** The bin that holds a value; those outside belong to the first or the last. */
function binOf(edges: readonly number[], value: number): number {
  let bin = 0;
  while (bin < edges.length - 2 && value >= edges[bin + 1]) bin++;
  return bin;
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
