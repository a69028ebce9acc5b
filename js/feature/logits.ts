/** Which next tokens the feature raises and lowers, directly; a line marks what chance reaches. */
import { append, button, type Child, h } from "../shared/dom";
import { marked, signedNumber } from "../shared/format";
import type { Card, TokenWeight } from "./state";
import { controlText } from "./words";

/** find: lists what else raises a token; it can be told from others where it is a whole word. */
export function logitLists(
  logits: NonNullable<Card["logits"]>,
  find?: (token: string) => void,
): Child[] {
  const { positive, negative, control } = logits;
  const values = [...positive, ...negative].map(({ value }) => Math.abs(value ?? 0));
  const most = Math.max(1e-9, control?.value ?? 0, ...values);
  const line = control ? Math.min(1, Math.abs(control.value) / most) : null;
  const isWord = wordsOf([...positive, ...negative].map(({ token }) => token));
  const list = (name: string, rows: readonly TokenWeight[]) =>
    h(
      "ol",
      { class: "iw-c-databars", attrs: { "aria-label": name } },
      ...rows.map(({ token, value }) => {
        const parts = dataBar(marked(token), value, most, line);
        if (!find || !isWord(token)) return h("li", { title: JSON.stringify(token) }, ...parts);
        const el = button("", () => find(token.trim()), {
          class: "iw-c-neighbour",
          title: `${JSON.stringify(token)}: find all that raise it`,
        });
        append(el, parts);
        return h("li", {}, el);
      }),
    );
  return [
    h(
      "div",
      { class: "iw-c-pair" },
      h("div", {}, h("div", { class: "iw-c-soft" }, "raises"), list("raises", positive)),
      h("div", {}, h("div", { class: "iw-c-soft" }, "lowers"), list("lowers", negative)),
    ),
    control && controlLine(controlText("best of random directions as long", control)),
  ];
}

/**
 * A whole word, which is the same token when it is typed; pieces of words are not. Vocabularies mark
 * either the one, by a blank in front, or the other, by “##”.
 */
function wordsOf(tokens: readonly string[]): (token: string) => boolean {
  const blanks = tokens.some((token) => /^ \S/.test(token));
  const word = blanks ? /^ [\p{L}\p{N}]/u : /^[\p{L}\p{N}]/u;
  return (token) => word.test(token);
}

/** A name and a number on a bar; the dotted line is the control. */
export function dataBar(
  name: string,
  value: number | null,
  most: number,
  control: number | null,
  print: (value: number) => string = signedNumber,
): Child[] {
  const width = Math.min(1, Math.abs(value ?? 0) / most);
  return [
    h("i", {
      class: (value ?? 0) < 0 ? "iw-c-neg" : "iw-c-pos",
      attrs: { "aria-hidden": "true" },
      style: { "--iw-at": width.toFixed(3) },
    }),
    control !== null &&
      h("i", {
        class: "iw-c-control",
        attrs: { "aria-hidden": "true" },
        style: { "--iw-at": control.toFixed(3) },
      }),
    h("span", { class: "iw-c-name" }, name),
    h("span", { class: "iw-c-number" }, value === null ? "" : print(value)),
  ];
}

export function controlLine(text: string): HTMLElement {
  return h("p", { class: "iw-c-soft iw-c-controltext" }, text);
}
