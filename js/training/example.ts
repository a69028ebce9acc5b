/** A piece of text with a feature's activations on it: text is data, never markup. */
import { h } from "../shared/dom";
import { number, visible } from "../shared/format";
import type { Example } from "./state";
import { marked } from "./words";

/** The strongest activation of some examples: the scale of their shading. */
export function strongest(examples: readonly Example[]): number {
  let top = 0;
  for (const example of examples)
    for (const value of example.activations) top = Math.max(top, value);
  return top;
}

/** Letters of East Asian scripts take the room of two. */
function wide(text: string): number {
  let width = 0;
  for (const letter of text) width += (letter.codePointAt(0) ?? 0) >= 0x1100 ? 2 : 1;
  return width;
}

/**
 * One line around the trigger, as many letters before and after as asked; null: all of it. The
 * trigger is always whole, so it can be seen however narrow the line is.
 */
export function exampleLine(
  example: Example,
  top: number,
  letters: readonly [number, number] | null,
): HTMLElement {
  const words = example.tokens.map(visible);
  const { trigger } = example;
  let from = 0;
  let to = words.length;
  if (letters) {
    from = trigger;
    for (let room = letters[0]; from > 0; from--) {
      room -= wide(words[from - 1]);
      if (room < 0) break;
    }
    to = trigger + 1;
    for (let room = letters[1]; to < words.length; to++) {
      room -= wide(words[to]);
      if (room < 0) break;
    }
  }
  const line = h("span", { class: "iw-t-text", attrs: { dir: "ltr" } });
  if (from > 0) line.append("…");
  for (let at = from; at < to; at++) {
    const value = example.activations[at] ?? 0;
    const first = at === from && from === 0;
    const text = first ? words[at].trimStart() || words[at] : words[at];
    if (!(value > 0) && at !== trigger) {
      line.append(text);
      continue;
    }
    // The blank in front of a word belongs to the token and not to the mark.
    const blank = /^ +(?=\S)/.exec(text)?.[0] ?? "";
    line.append(blank);
    line.append(
      h(
        "mark",
        {
          class: at === trigger ? "iw-t-trigger" : "",
          title: `activation ${number(value)}`,
          style: { "--iw-alpha": (top > 0 ? 0.1 + 0.5 * (value / top) : 0).toFixed(2) },
        },
        text.trim() === "" ? marked(text) : text.slice(blank.length),
      ),
    );
  }
  if (to < words.length) line.append("…");
  return line;
}

/** The trigger alone, as a name for a feature that has none yet. */
export function triggerName(example: Example | undefined): string {
  const token = example?.tokens[example.trigger];
  return token === undefined ? "" : `“${marked(token)}”`;
}
