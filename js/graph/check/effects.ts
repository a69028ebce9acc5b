/** Effects on each target, three lines or more: predicted, measured, random controls. */
import { type Child, h } from "../../shared/dom";
import { number, probability, signedNumber } from "../../shared/format";
import type { Context } from "./acting";
import type { Checked, Line, Target } from "./state";

export function effects({ store, actions }: Context, checked: Checked): HTMLElement {
  const { graph, labels } = store.state;
  const ranges = rangesOf(checked.targets);
  const el = h("div", { class: "iw-effects" });
  for (const target of checked.targets) {
    const node = graph?.index.get(target.id) ?? -1;
    const name = graph && node >= 0 ? graph.label(node, labels) : target.name;
    const place = graph && node >= 0 ? graph.where(node, name) : "";
    const head = h(
      "button",
      {
        class: "iw-effecthead",
        title: "Select this target",
        attrs: { type: "button", disabled: node < 0 },
        on: {
          click: () => actions.select([node]),
          pointerenter: () => store.set({ hover: node }),
          pointerleave: () => store.set({ hover: -1 }),
        },
      },
      h("b", {}, name),
      " ",
      h("span", {}, place === "out" ? "" : place),
      h("span", { class: "iw-effectunit" }, change(target)),
    );
    el.append(head, table(name, target.lines, ranges.get(target.unit) ?? NOTHING));
  }
  return el;
}

/** .82 → .17, or the unit where there is no probability. */
function change({ probability: p, unit }: Target): string {
  return p ? `${unit} · p ${probability(p[0])} → ${probability(p[1])}` : unit;
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
    for (const { value, low, high } of lines) {
      from = Math.min(from, value ?? 0, low ?? 0);
      to = Math.max(to, value ?? 0, high ?? 0);
    }
    ranges.set(unit, { from, to });
  }
  return ranges;
}

function table(name: string, lines: readonly Line[], range: Range): HTMLElement {
  return h(
    "table",
    { class: "iw-lines", attrs: { "aria-label": `Effects on ${name}` } },
    ...lines.map((line) =>
      h(
        "tr",
        { class: `iw-line iw-${line.kind}`, title: line.title },
        h("th", { attrs: { scope: "row" } }, line.name),
        h("td", { class: "iw-linebar", attrs: { "aria-hidden": "true" } }, bar(line, range)),
        h("td", { class: "iw-linenum" }, ...figures(line)),
      ),
    ),
  );
}

/** From zero to the value; for controls, the range of all of them. */
function bar({ kind, value, low, high }: Line, { from, to }: Range): Child {
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
  return h("span", { class: "iw-track" }, zero, span);
}

function figures({ kind, value, low, high }: Line): Child[] {
  if (value === null) return ["none"];
  if (kind !== "random" || low == null || high == null) return [signedNumber(value)];
  return [`${number(low)} to ${number(high)}`];
}
