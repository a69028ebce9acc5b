/** Lists of other features: similar ones, those upstream and downstream. A click opens one. */
import { button, type Child, h } from "../shared/dom";
import { count } from "../shared/format";
import { dataBar } from "./logits";
import type { CardPort, Control, Neighbour } from "./state";
import { controlText } from "./words";

const FIRST = 5;

export interface NeighbourList {
  readonly name: string;
  readonly rows: readonly Neighbour[];
  readonly control: Control | null;
  /** What the control is of, in words. */
  readonly controlName: string;
  readonly print: (value: number) => string;
}

export function neighbourList(list: NeighbourList, port: CardPort): Child[] {
  const { rows, control } = list;
  if (rows.length === 0) return [h("p", { class: "iw-c-soft" }, "none")];
  const largest = Math.max(...rows.map(({ value }) => Math.abs(value)));
  const most = Math.max(1e-9, Math.abs(control?.value ?? 0), largest);
  const line = control ? Math.abs(control.value) / most : null;
  const item = (row: Neighbour) =>
    h("li", {}, rowOf(row, dataBar(nameOf(row), row.value, most, line, list.print), port));
  const first = rows.length === FIRST + 1 ? rows.length : FIRST;
  const box = h(
    "ol",
    { class: "iw-c-databars", attrs: { "aria-label": list.name } },
    ...rows.slice(0, first).map(item),
  );
  const more =
    rows.length > first &&
    button(
      `+${count(rows.length - first)} more`,
      () => {
        box.append(...rows.slice(first).map(item));
        if (more) more.remove();
        box.children[first].querySelector<HTMLElement>("button")?.focus();
      },
      { class: "iw-c-more" },
    );
  return [
    box,
    more,
    control &&
      h("p", { class: "iw-c-soft iw-c-controltext" }, controlText(list.controlName, control)),
  ];
}

function nameOf(row: Neighbour): string {
  return row.label ?? `L${row.layer}/${row.feature}`;
}

function rowOf(row: Neighbour, parts: readonly Child[], port: CardPort): HTMLElement {
  const code = `L${row.layer}/${row.feature}`;
  const together = row.count === undefined ? "" : `, together on ${count(row.count)} tokens`;
  const title = `${row.label === null ? code : `${row.label}, ${code}`}${together}`;
  const opens = port.open && (port.opens?.(row.layer, row.feature) ?? true);
  const where = row.label === null ? null : h("span", { class: "iw-c-where" }, code);
  // Behind the name, before the number.
  const all = [...parts.slice(0, -1), where, ...parts.slice(-1)];
  const closed = port.open && port.elsewhere ? `; ${port.elsewhere}` : "";
  if (!opens) return h("span", { class: "iw-c-neighbour", title: `${title}${closed}` }, ...all);
  const el = button("", () => port.open?.(row.layer, row.feature), {
    class: "iw-c-neighbour",
    title: `${title}: open it`,
    attrs: { "data-open": `${row.layer}/${row.feature}` },
  });
  for (const part of all) {
    if (part) el.append(part instanceof Node ? part : String(part));
  }
  return el;
}
