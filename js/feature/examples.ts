/** Where the feature fires: the strongest examples below each other, and samples of every strength. */
import { button, type Child, h } from "../shared/dom";
import { kwicLine, plainText, strongest } from "../shared/example";
import { count, number } from "../shared/format";
import type { Card, CardExample, Group } from "./state";

/** What a click on an example does with its text; null: there is nobody to try it. */
export type Copy = ((text: string) => void) | null;

/** Lines centred on the trigger; a click copies one into the test text. `onMore`: how many now. */
export function exampleList(
  examples: readonly CardExample[],
  copy: Copy,
  shown = examples.length,
  onMore?: (shown: number) => void,
): Child[] {
  const top = strongest(examples);
  const visible = examples.length - shown === 1 ? examples.length : shown;
  const rest = examples.length - visible;
  const list = h(
    "ol",
    { class: "iw-c-examples" },
    ...examples.slice(0, visible).map((example) => h("li", {}, exampleRow(example, top, copy))),
  );
  const more =
    rest > 0 &&
    onMore &&
    button(`+${count(rest)} more`, () => onMore(examples.length), { class: "iw-c-more" });
  return [list, more];
}

function exampleRow(example: CardExample, top: number, copy: Copy): HTMLElement {
  const value = example.activations[example.trigger] ?? 0;
  const text = plainText(example);
  const from = example.document === null ? "" : `, text ${count(example.document)}`;
  const facts = `${text}\nactivation ${number(value)}${from}`;
  const parts = [
    kwicLine(example, top),
    h("span", { class: "iw-c-number", attrs: { "aria-hidden": "true" } }, number(value)),
  ];
  if (!copy) return h("div", { class: "iw-c-example", title: facts }, ...parts);
  const el = button("", () => copy(text), {
    class: "iw-c-example",
    title: `${facts}. Click to copy it into the test text.`,
    attrs: { "aria-label": `${number(value)}: ${text}. Copy to the test text` },
  });
  el.replaceChildren(...parts);
  return el;
}

/** Groups by strength, folded; what is inside is drawn when it is opened for the first time. */
export function groupList(
  groups: readonly Group[],
  top: number,
  copy: Copy,
  open: Set<string>,
  twoSided = false,
): Child[] {
  const side = twoSided ? ", of either sign" : "";
  return groups.map((group) => {
    const body = h("ol", { class: "iw-c-examples" });
    const fill = () => {
      if (body.childElementCount > 0) return;
      body.append(...group.examples.map((example) => h("li", {}, exampleRow(example, top, copy))));
    };
    const el = h(
      "details",
      { class: "iw-c-group", attrs: { open: open.has(group.name) } },
      h(
        "summary",
        { title: "Examples evenly spaced in rank between these strengths" },
        h("span", {}, group.name),
        h(
          "span",
          { class: "iw-c-soft" },
          group.low === null || group.high === null
            ? ""
            : `activation ${number(group.low)} to ${number(group.high)}${side}`,
        ),
      ),
      body,
    );
    if (open.has(group.name)) fill();
    el.addEventListener("toggle", () => {
      if (el.open) {
        open.add(group.name);
        fill();
      } else open.delete(group.name);
    });
    return el;
  });
}

/** The scale of all shading on a card. */
export function topOf(card: Card): number {
  return Math.max(strongest(card.examples), strongest(card.negative));
}
