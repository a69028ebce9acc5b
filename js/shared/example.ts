/** Text with a feature's activations on it, shaded by their strength: text is data, never markup. */
import { h } from "./dom";
import { marked, number, visible } from "./format";

export interface Example {
  readonly tokens: readonly string[];
  readonly activations: readonly number[];
  /** Where in `tokens` the example stands: its strongest activation. */
  readonly trigger: number;
}

/** The strongest activation of some examples: the scale of their shading. */
export function strongest(examples: readonly Pick<Example, "activations">[]): number {
  let top = 0;
  for (const example of examples)
    for (const value of example.activations) top = Math.max(top, Math.abs(value));
  return top;
}

/** How dark a token is: faint where the feature is just active, never too dark to read. */
export function alpha(value: number, top: number): string {
  return (top > 0 ? 0.1 + 0.5 * Math.min(1, Math.abs(value) / top) : 0).toFixed(2);
}

/** Letters of East Asian scripts take the room of two. */
function wide(text: string): number {
  let width = 0;
  for (const letter of text) width += (letter.codePointAt(0) ?? 0) >= 0x1100 ? 2 : 1;
  return width;
}

/**
 * One token: plain where the feature rests, a shaded mark where it is active or triggers. The blank
 * in front of a word belongs to the token and not to the mark.
 */
export function tokenParts(
  text: string,
  value: number,
  top: number,
  trigger: boolean,
): (string | HTMLElement)[] {
  if (!(Math.abs(value) > 0) && !trigger) return [text];
  const blank = /^ +(?=\S)/.exec(text)?.[0] ?? "";
  const classes = [trigger && "iw-trigger", value < 0 && "iw-negative"].filter(Boolean);
  const el = h(
    "mark",
    {
      class: classes.join(" "),
      title: `activation ${number(value)}`,
      style: { "--iw-alpha": alpha(value, top) },
    },
    text.trim() === "" ? marked(text) : text.slice(blank.length),
  );
  return blank ? [blank, el] : [el];
}

/** The tokens from and to that fit into so many letters before and after the trigger. */
function around(
  words: readonly string[],
  trigger: number,
  [before, after]: readonly [number, number],
): readonly [number, number] {
  let from = trigger;
  for (let room = before; from > 0; from--) {
    room -= wide(words[from - 1]);
    if (room < 0) break;
  }
  let to = trigger + 1;
  for (let room = after; to < words.length; to++) {
    room -= wide(words[to]);
    if (room < 0) break;
  }
  return [from, to];
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
  const [from, to] = letters ? around(words, trigger, letters) : [0, words.length];
  const line = h("span", { class: "iw-text", attrs: { dir: "ltr" } });
  if (from > 0) line.append("…");
  for (let at = from; at < to; at++) {
    const first = at === from && from === 0;
    const text = first ? words[at].trimStart() || words[at] : words[at];
    line.append(...tokenParts(text, example.activations[at] ?? 0, top, at === trigger));
  }
  if (to < words.length) line.append("…");
  return line;
}

/**
 * Keyword in context: the trigger stands in the middle of the line, whatever its width, so that
 * lines below each other can be read down the middle. What does not fit ends in “…” on either side.
 * Only shaded tokens are elements: lists of such lines are drawn while somebody waits for them.
 *
 * letters: so many on each side can be in sight at most; what lies further off is not drawn.
 */
export function kwicLine(example: Example, top: number, letters = 90): HTMLElement {
  const { activations, trigger } = example;
  const words = example.tokens.map(visible);
  const [from, to] = around(words, trigger, [letters, letters]);
  const run = (start: number, end: number) => {
    const parts: (string | HTMLElement)[] = [];
    for (let at = start; at < end; at++)
      parts.push(...tokenParts(words[at], activations[at] ?? 0, top, at === trigger));
    const line = h("span", { class: "iw-kwicrun", attrs: { dir: "ltr" } }, ...parts);
    line.normalize();
    return line;
  };
  return h(
    "span",
    { class: "iw-text iw-kwic", attrs: { dir: "ltr" } },
    h("span", { class: "iw-kwicbefore" }, run(from, trigger)),
    h("span", { class: "iw-kwictrigger" }, run(trigger, Math.min(trigger + 1, words.length))),
    h("span", { class: "iw-kwicafter" }, run(trigger + 1, to)),
  );
}

/** The text itself, as one may type it in again. */
export function plainText(example: Pick<Example, "tokens">): string {
  return example.tokens.join("").trim();
}

/** The trigger alone, as a name for a feature that has none yet. */
export function triggerName(example: Example | null | undefined): string {
  const token = example?.tokens[example.trigger];
  return token === undefined ? "" : `“${marked(token)}”`;
}
