/** Predicted across, measured up: points on the diagonal are nodes about which the graph is right. */
import { minus, number } from "../../shared/format";
import type { Context } from "./acting";
import type { Series } from "./state";

const WIDTH = 294;
const HEIGHT = 214;
const PLOT = { left: 34, right: 8, top: 8, bottom: 30 };
const NS = "http://www.w3.org/2000/svg";

export function scatter({ store, actions }: Context, series: Series): SVGElement {
  const { control } = series;
  const all = [
    ...series.predicted,
    ...series.measured,
    ...(control?.predicted ?? []),
    ...(control?.measured ?? []),
  ].filter(Number.isFinite);
  // One scale for both axes: on the diagonal the prediction is right.
  const low = Math.min(0, ...all);
  const high = Math.max(0, ...all);
  const [from, to] = padded(root(low), root(high));
  const wide = WIDTH - PLOT.left - PLOT.right;
  const tall = HEIGHT - PLOT.top - PLOT.bottom;
  const along = (v: number) => (root(v) - from) / (to - from);
  const x = (v: number) => PLOT.left + along(v) * wide;
  const y = (v: number) => PLOT.top + tall - along(v) * tall;
  const [left, right, top, bottom] = [PLOT.left, PLOT.left + wide, PLOT.top, PLOT.top + tall];

  const el = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    class: "iw-scatter",
    role: "img",
    "aria-label": `Predicted against measured ${series.unit} for ${series.ids.length} nodes; the rank correlation is in the table below.`,
  });
  el.append(
    svg("path", { d: `M${left},${y(0)}H${right}M${x(0)},${top}V${bottom}`, class: "iw-zero" }),
    svg("path", { d: `M${left},${bottom}L${right},${top}`, class: "iw-diagonal" }),
  );
  for (const v of spread(ticks(low, high), x, 30)) {
    el.append(text(round(v), x(v), HEIGHT - PLOT.bottom + 12, "middle"));
  }
  for (const v of spread(ticks(low, high), y, 13)) {
    el.append(text(round(v), PLOT.left - 4, y(v) + 3.5, "end"));
  }
  const name = `predicted ${series.unit}, √ scale`;
  el.append(text(name, PLOT.left + wide / 2, HEIGHT - 4, "middle", "iw-axisname"));
  const up = text("measured", 0, 0, "middle", "iw-axisname");
  up.setAttribute("transform", `translate(9 ${PLOT.top + tall / 2}) rotate(-90)`);
  el.append(up);

  control?.predicted.forEach((p, k) => {
    const m = control.measured[k];
    if (Number.isFinite(p) && Number.isFinite(m)) el.append(point(x(p), y(m), "iw-controlpoint"));
  });
  const chosen = new Set(store.state.selected);
  series.ids.forEach((id, k) => {
    const [p, m] = [series.predicted[k], series.measured[k]];
    if (!Number.isFinite(p) || !Number.isFinite(m)) return;
    const { graph, labels } = store.state;
    const node = graph?.index.get(id) ?? -1;
    const mark = point(x(p), y(m), chosen.has(id) ? "iw-point iw-chosen" : "iw-point");
    mark.dataset.node = String(node);
    if (graph && node >= 0) {
      const name = `${graph.label(node, labels)}, ${graph.place(node, graph.label(node, labels))}`;
      const title = svg("title", {});
      title.textContent = `${name}: predicted ${number(p)}, measured ${number(m)}`;
      mark.append(title);
      mark.addEventListener("click", () => actions.select([node]));
      mark.addEventListener("pointerenter", () => store.set({ hover: node }));
      mark.addEventListener("pointerleave", () => store.set({ hover: -1 }));
    }
    el.append(mark);
  });
  return el;
}

function svg(tag: string, attributes: Record<string, string>): SVGElement {
  const el = document.createElementNS(NS, tag) as SVGElement;
  for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, value);
  return el;
}

function text(words: string, x: number, y: number, anchor: string, cls = "iw-tick"): SVGElement {
  const el = svg("text", {
    x: x.toFixed(1),
    y: y.toFixed(1),
    "text-anchor": anchor,
    class: cls,
  });
  el.textContent = words;
  return el;
}

function point(cx: number, cy: number, cls: string): SVGElement {
  return svg("circle", { cx: cx.toFixed(1), cy: cy.toFixed(1), r: "3.2", class: cls });
}

/** Ticks are round: 2, not 2.00. */
function round(value: number): string {
  return minus(String(Number(value.toPrecision(2))));
}

/** Effects span orders of magnitude: the square root, as for the width of links, with its sign. */
function root(value: number): number {
  return Math.sign(value) * Math.sqrt(Math.abs(value));
}

function padded(low: number, high: number): [number, number] {
  const pad = (high - low || 1) * 0.06;
  return [low - pad, high + pad];
}

/** The values whose places are that far apart; zero first, then those farthest from it. */
function spread(values: readonly number[], at: (v: number) => number, apart: number): number[] {
  const kept: number[] = [];
  const order = [...values].sort((a, b) =>
    a === 0 ? -1 : b === 0 ? 1 : Math.abs(b) - Math.abs(a),
  );
  for (const v of order) if (kept.every((k) => Math.abs(at(k) - at(v)) >= apart)) kept.push(v);
  return kept;
}

/** Three to seven round values between the ends. */
export function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 3 || 1;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [5, 2, 1].map((m) => m * ten).find((s) => s <= rough) ?? rough;
  const values: number[] = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++)
    values.push(k * step || 0);
  return values;
}
