/** Lists of nodes: a name, a place, a bar, a number. Every row is a button. */
import { append, button, h } from "../../shared/dom";
import type { Panel } from "./panel";

export interface Row {
  readonly node: number;
  readonly name: string;
  readonly where: string;
  /** Signed, 1 fills the bar; null for a row without one. */
  readonly bar: number | null;
  readonly text: string;
  /** Outside what the slider keeps: still listed, paler. */
  readonly pale?: boolean;
}

export interface RowGroup {
  readonly name: string;
  readonly bar: number;
  readonly text: string;
  readonly rows: readonly Row[];
}

const STEP = 100;

/** A list that shows `first` rows and unfolds on demand; `key` remembers how far. */
export function list(panel: Panel, key: string, rows: readonly Row[], first: number): HTMLElement {
  const ul = h("ul", { class: "iw-list" });
  let upTo = panel.unfolded.get(key) ?? first;
  // One hidden row takes the place of its own "+1 more".
  if (rows.length === upTo + 1) upTo += 1;
  for (const row of rows.slice(0, upTo)) ul.append(h("li", {}, rowButton(panel, row)));
  const rest = rows.length - upTo;
  if (rest > 0) {
    const more = button(`+${rest.toLocaleString("en-US")} more`, () => {
      panel.unfolded.set(key, upTo + STEP);
      panel.render();
    });
    ul.append(h("li", { class: "iw-more" }, more));
  }
  return ul;
}

/** Rows under headings with their sums. */
export function groupedList(panel: Panel, key: string, groups: readonly RowGroup[]): HTMLElement {
  const el = h("div", { class: "iw-grouped" });
  for (const group of groups) {
    const head = h("div", { class: "iw-row iw-rowhead" });
    append(head, [
      h("span", { class: "iw-name" }, group.name),
      h("span", { class: "iw-where" }, `${group.rows.length}`),
      bar(group.bar),
      h("span", { class: "iw-num" }, group.text),
    ]);
    el.append(head, list(panel, `${key}/${group.name}`, group.rows, 3));
  }
  return el;
}

function rowButton(panel: Panel, row: Row): HTMLElement {
  const { store, actions } = panel;
  const leave = () => store.set({ hover: -1 });
  const el = h(
    "button",
    {
      class: `iw-row${row.pale ? " iw-pale" : ""}`,
      title: row.name,
      attrs: { type: "button", "data-node": row.node },
      on: {
        click: (e) =>
          e.ctrlKey || e.metaKey || e.shiftKey
            ? actions.toggle(row.node)
            : actions.select([row.node]),
        pointerenter: () => store.set({ hover: row.node }),
        pointerleave: leave,
        focus: () => store.set({ hover: row.node }),
        blur: leave,
      },
    },
    h("span", { class: "iw-name" }, row.name),
    h("span", { class: "iw-where" }, row.where),
  );
  if (row.bar !== null) el.append(bar(row.bar));
  el.append(h("span", { class: "iw-num" }, row.text));
  return el;
}

function bar(value: number): HTMLElement {
  // The square root, as for the width of links: small shares stay visible and comparable.
  const width = Math.min(44, Math.max(2, Math.sqrt(Math.abs(value)) * 44));
  return h(
    "span",
    { class: "iw-bar", attrs: { "aria-hidden": "true" } },
    h("i", { class: value < 0 ? "iw-neg" : "iw-pos", style: { width: `${width.toFixed(1)}px` } }),
  );
}
