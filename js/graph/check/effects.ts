/**
 * Effects on each target in three lines: what the graph predicts, what the model says, what random
 * nodes do; once with attention frozen and once with it free.
 */
import { button, type Child, h } from "../../shared/dom";
import { count, number, probability, signedNumber } from "../../shared/format";
import type { Context } from "./acting";
import type { Change, Checked, Line, Target } from "./state";

/** So many targets fit without scrolling. */
const FIRST = 4;

/** `all`: also the weaker targets; `more` is called when they are asked for. */
export function effects(
  context: Context,
  checked: Checked,
  all: boolean,
  more: () => void,
): HTMLElement {
  const { targets, ways } = checked;
  const ranges = rangesOf(targets);
  const shown = all || targets.length <= FIRST + 1 ? targets : targets.slice(0, FIRST);
  const rest = targets.length - shown.length;
  return h(
    "div",
    { class: "iw-effects" },
    h(
      "table",
      { class: "iw-lines", attrs: { "aria-label": "Effects: predicted, measured, random" } },
      h(
        "tr",
        { class: "iw-ways" },
        h("td"),
        ...ways.map(({ name, note, title }) =>
          h("th", { title, attrs: { scope: "col" } }, h("b", {}, name), " ", note),
        ),
      ),
      ...shown.flatMap((target) => rows(context, target, ranges.get(target.unit) ?? NOTHING)),
    ),
    rest > 0 && h("div", { class: "iw-more" }, button(`+${count(rest)} more targets`, more)),
  );
}

function rows(context: Context, target: Target, range: Range): HTMLElement[] {
  return [
    head(context, target),
    ...target.lines.map((line) =>
      h(
        "tr",
        { class: `iw-line iw-${line.kind}`, title: line.title },
        h("th", { attrs: { scope: "row" } }, line.name),
        ...line.changes.map((change) =>
          h("td", {}, h("span", { class: "iw-cell" }, bar(line, change, range), figures(change))),
        ),
      ),
    ),
    ...between(target),
  ];
}

/** Where the two predictions differ: what runs through attention patterns, and through norms. */
function between(target: Target): HTMLElement[] {
  const parts = Object.entries(target.between);
  if (parts.length === 0 || target.probability === null) return [];
  const text = parts.map(([name, v]) => `${name} ${signedNumber(v ?? Number.NaN)}`).join(", ");
  const title = "The predicted part of total that runs through what direct holds fixed";
  return [
    h(
      "tr",
      { class: "iw-line iw-random", title },
      h("th", { attrs: { scope: "row" } }, "through"),
      h("td", { attrs: { colspan: across(target) - 1 } }, h("span", { class: "iw-between" }, text)),
    ),
  ];
}

function across({ lines }: Target): number {
  return 1 + (lines[0]?.changes.length ?? 0);
}

/** The target's name, which selects it, and what became of its probability. */
function head({ store, actions }: Context, target: Target): HTMLElement {
  const { graph, labels } = store.state;
  const node = graph?.index.get(target.id) ?? -1;
  const name = graph && node >= 0 ? graph.label(node, labels) : target.name;
  const place = graph && node >= 0 ? graph.where(node, name) : "";
  const press = h(
    "button",
    {
      class: "iw-effecthead",
      title: node < 0 ? "" : "Select this target",
      attrs: { type: "button", disabled: node < 0 },
      on: {
        click: () => actions.select([node]),
        pointerenter: () => store.set({ hover: node }),
        pointerleave: () => store.set({ hover: -1 }),
      },
    },
    h("b", {}, name),
    place !== "" && place !== "out" && h("span", {}, place),
    h("span", { class: "iw-effectunit" }, change(target)),
  );
  return h("tr", {}, h("td", { class: "iw-target", attrs: { colspan: across(target) } }, press));
}

/** p .82 → .17, or the unit where there is no probability. */
function change({ probability: p, unit }: Target): string {
  if (!p) return unit;
  const [before, after] = p.map(probability);
  // Near certainty two decimals would hide the change.
  const digits = before === after && p[0] !== p[1];
  return digits
    ? `${unit} · p ${p[0].toFixed(4)} → ${p[1].toFixed(4)}`
    : `${unit} · p ${before} → ${after}`;
}

interface Range {
  readonly from: number;
  readonly to: number;
}

const NOTHING: Range = { from: 0, to: 1e-12 };

/** One range for all targets of one unit, so that their bars compare; zero lies in it. */
function rangesOf(targets: readonly Target[]): Map<string, Range> {
  const ranges = new Map<string, Range>();
  for (const { unit, lines } of targets) {
    let { from, to } = ranges.get(unit) ?? NOTHING;
    for (const { value, low, high } of lines.flatMap((line) => line.changes)) {
      from = Math.min(from, value ?? 0, low ?? 0);
      to = Math.max(to, value ?? 0, high ?? 0);
    }
    ranges.set(unit, { from, to });
  }
  return ranges;
}

/** From zero to the value; for controls, the range of all of them. */
function bar({ kind }: Line, { value, low, high }: Change, { from, to }: Range): Child {
  if (value === null) return null;
  const at = (v: number) => (100 * (v - from)) / (to - from);
  const ends = kind === "random" ? [at(low ?? value), at(high ?? value)] : [at(0), at(value)];
  const [left, right] = [Math.min(...ends), Math.max(...ends)];
  const sign = kind === "random" ? "iw-chance" : value < 0 ? "iw-neg" : "iw-pos";
  const span = h("i", {
    class: sign,
    style: { left: `${left.toFixed(1)}%`, width: `${Math.max(0.8, right - left).toFixed(1)}%` },
  });
  const zero = h("i", { class: "iw-origin", style: { left: `${at(0).toFixed(1)}%` } });
  return h("span", { class: "iw-track", attrs: { "aria-hidden": "true" } }, zero, span);
}

function figures({ value, low, high }: Change): HTMLElement {
  const range = low != null && high != null;
  const text = value === null ? "…" : range ? halfRange(value, low, high) : signedNumber(value);
  const title = range
    ? `from ${number(low)} to ${number(high)}, on average ${number(value ?? 0)}`
    : "";
  return h("span", { class: "iw-linenum", title }, text);
}

/** ±0.21: how far the controls lie from zero at most; their range is the bar. */
function halfRange(value: number, low: number, high: number): string {
  return `±${number(Math.max(Math.abs(low), Math.abs(high), Math.abs(value)))}`;
}
