/** What stands below a heatmap: both prompts, token by token; under heads, their numbers. */
import { h } from "../shared/dom";
import { tokenText } from "../shared/format";
import { type Live, type PanelId, type Part, partId } from "./state";
import { partName } from "./words";

type Tokens = readonly string[];

export function axis(live: Live, panel: PanelId, columns: number): HTMLElement[] {
  const make = panel === "heads" ? sentence : (...each: Named) => line(live, panel, ...each);
  const prompts = [make(live.corrupted ? "clean" : "prompt", live.clean, live.corrupted)];
  if (live.corrupted) prompts.push(make("corrupted", live.corrupted, live.clean));
  if (panel !== "heads") return prompts;
  const numbers = Array.from({ length: columns }, (_, index) =>
    h("div", { class: "iw-a-tick" }, String(index)),
  );
  const corner = h("div", { class: "iw-a-head iw-a-prompt" }, "head");
  return [h("div", { class: "iw-a-axis" }, corner, ...numbers), ...prompts];
}

/** A prompt's name, its tokens, and those of the other prompt. */
type Named = [name: string, tokens: Tokens, other: Tokens | null];

/** Each token under its column, a button for the whole of it. */
function line(live: Live, panel: PanelId, ...[name, tokens, other]: Named): HTMLElement {
  return h(
    "div",
    { class: "iw-a-axis" },
    h("div", { class: "iw-a-head iw-a-prompt" }, name),
    ...tokens.map((token, index) => {
      const part: Part = { panel, layer: null, index };
      const called = partName(part, live);
      const differs = other !== null && other[index] !== token;
      const attrs = {
        type: "button",
        "data-part": partId(part),
        "aria-label": called,
        tabindex: -1,
      };
      return h(
        "div",
        { class: `iw-a-tick${differs ? " iw-a-differs" : ""}` },
        h("button", { title: `${token} · select ${called}`, attrs }, tokenText(token)),
      );
    }),
  );
}

function sentence(...[name, tokens, other]: Named): HTMLElement {
  return h(
    "div",
    { class: "iw-a-sentences" },
    h("span", { class: "iw-a-prompt" }, name),
    ...tokens.flatMap((token, index) =>
      other !== null && other[index] !== token
        ? [h("u", {}, tokenText(token)), " "]
        : [`${tokenText(token)} `],
    ),
  );
}
