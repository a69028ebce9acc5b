/** What follows from a selection: the strip with its control, the next tokens, the text. */
import { h } from "../shared/dom";
import { minus, probability, tokenText } from "../shared/format";
import type { Controls, Effect, NextToken } from "./state";
import { changedFrom } from "./words";

/** The effect as a bar from 0, over the band that random changes reach. */
export function strip(done: Effect, controls: Controls): HTMLElement {
  const reach = Math.max(...[done.joint, controls.low, controls.high].map(Math.abs), 1e-12) * 1.06;
  const at = (value: number) => 50 + (50 * value) / reach;
  const span = (from: number, to: number) => ({
    left: `${Math.min(at(from), at(to)).toFixed(2)}%`,
    width: `${Math.abs(at(to) - at(from)).toFixed(2)}%`,
  });
  return h(
    "div",
    { class: "iw-a-strip", attrs: { "aria-hidden": "true" } },
    h("i", { class: "iw-a-band", style: span(controls.low, controls.high) }),
    h("i", { class: done.joint < 0 ? "iw-a-neg" : "iw-a-pos", style: span(0, done.joint) }),
    h("i", { class: "iw-a-zero" }),
  );
}

/** Probabilities and logits of the next tokens, before and after. */
export function tokenTable(tokens: readonly NextToken[]): HTMLElement {
  const cell = (text: string) => h("td", {}, text);
  const logit = (value: number) => minus(value.toFixed(1));
  const column = (width: number) => h("col", { style: { width: `${width}px` } });
  return h(
    "table",
    { class: "iw-a-tokens" },
    h("colgroup", {}, h("col", {}), ...[36, 16, 36, 46, 16, 36].map(column)),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { attrs: { scope: "col" } }, ""),
        h("th", { attrs: { scope: "col", colspan: 3 } }, "probability"),
        h("th", { attrs: { scope: "col", colspan: 3 } }, "logit"),
      ),
    ),
    h(
      "tbody",
      {},
      ...tokens.map((token) =>
        h(
          "tr",
          {},
          h(
            "th",
            { attrs: { scope: "row" }, class: token.named ? "iw-a-named" : "", title: token.text },
            tokenText(token.text),
          ),
          cell(probability(token.before[0])),
          h("td", { class: "iw-a-arrow" }, "→"),
          cell(probability(token.after[0])),
          cell(logit(token.before[1])),
          h("td", { class: "iw-a-arrow" }, "→"),
          cell(logit(token.after[1])),
        ),
      ),
    ),
  );
}

/** What the model writes, before and after. */
export function texts([before, after]: readonly [string, string], message: string): HTMLElement {
  if (message) return h("div", { class: "iw-a-soft" }, message);
  if (before === after) {
    return h(
      "div",
      {},
      h("div", { class: "iw-a-text" }, `… ${before.trim()}`),
      h("div", { class: "iw-a-soft" }, "The same with the change."),
    );
  }
  const [same, changed] = changedFrom(before, after);
  return h(
    "div",
    {},
    h("div", { class: "iw-a-text iw-a-soft" }, `… ${before.trim()}`),
    h("div", { class: "iw-a-text" }, `… ${same.trimStart()}`, h("u", {}, changed.trimEnd())),
  );
}
