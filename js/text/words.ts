/** Numbers and sentences of the text view. */
import { clip, count, number, percent, plural, signedNumber } from "../shared/format";
import type { Firing, More } from "./firing";
import type { Shown } from "./rank";
import type { Choice, Live } from "./state";

const MINUS = "\u2212";

/** Two decimals, with a real minus sign; signed where it is a difference. */
export function strengthText(value: number, sign = false): string {
  if (!Number.isFinite(value)) return "none";
  const size = Math.abs(value);
  const text = size > 0 && size < 0.005 ? "<.01" : size >= 9.95 ? size.toFixed(0) : size.toFixed(2);
  if (text === "0.00") return "0";
  const plain = text.replace(/^0\./, ".");
  return (value < 0 ? MINUS : sign ? "+" : "") + plain;
}

/** The same for what is usual, which is small: .004. */
export function usualText(value: number): string {
  const size = Math.abs(value);
  return size > 0 && size < 0.0995
    ? size < 0.0005
      ? "<.001"
      : size.toFixed(3).slice(1)
    : strengthText(value);
}

/** “dallas”, “dallas is”, 4 tokens. */
export function tokensText(firing: Firing, tokens: readonly number[]): string {
  if (tokens.length > 3) return `${tokens.length} tokens`;
  const words = tokens.map((p) => `“${clip(firing.token(p), 14)}”`);
  return words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words[0];
}

/** All that is known of a row, for its title and for those who listen. */
export function rowTitle(firing: Firing, row: number, more: More | null): string {
  const label = firing.label(row);
  const parts = [`${label ? `${label}, ` : ""}${firing.code(row)}`];
  const at = firing.peakAt[row];
  const cell = firing.cell(row, at);
  if (cell >= 0) parts.push(`peak ${number(firing.value(cell))} at “${firing.token(at)}”`);
  if (more) {
    const { here, elsewhere, chance } = more;
    parts.push(
      `mean strength ${strengthText(here)} on the brushed tokens, ${strengthText(elsewhere)} elsewhere`,
    );
    if (Number.isFinite(chance)) {
      parts.push(`chance 0 ± ${strengthText(chance)}`);
    }
  }
  const density = firing.density(row);
  if (density) {
    parts.push(
      density.count === 0
        ? `never active on the ${count(firing.indexedTokens)} tokens of the index`
        : `active on ${percent(density.share)} of the ${count(firing.indexedTokens)} tokens of the index, mean strength ${usualText(density.mean)}`,
    );
  }
  return parts.join("; ");
}

/** What stands under the pointer. */
export function readout(
  firing: Firing,
  row: number | null,
  position: number | null,
  more: More | null = null,
): string {
  if (row === null && position === null) return "";
  if (row === null) {
    const p = position as number;
    const active = firing.activeAt(p);
    const { unit } = firing.data.header;
    const shown = firing.data.header.rows < firing.data.header.rows_total ? " of those shown" : "";
    return `“${firing.token(p)}”, token ${p}: ${plural(active, unit)}${shown} ${active === 1 ? "fires" : "fire"} here`;
  }
  if (position === null) return rowTitle(firing, row, more);
  const label = firing.label(row);
  const where = `${label ? `${label}, ` : ""}${firing.code(row)} at “${firing.token(position)}”: `;
  const cell = firing.cell(row, position);
  if (cell < 0) return `${where}does not fire`;
  const value = firing.value(cell);
  const strength = strengthText(firing.strength(row, cell));
  const text = `${where}${firing.twoSided ? signedNumber(value) : number(value)}, strength ${strength}`;
  const percentile = firing.percentile(cell);
  const density = firing.density(row);
  if (!density) return text;
  if (density.count === 0) return `${text}; it never fires in the index`;
  return `${text}; stronger than ${share(percentile)} of its ${plural(density.count, "activation")} in the index`;
}

/** 99.97% is not 100%. */
function share(percentile: number): string {
  if (percentile >= 100) return "all";
  if (percentile > 99.5) return "99.5%";
  return `${percentile.toFixed(percentile < 10 ? 1 : 0)}%`;
}

/** While nothing is pointed at. */
export function hint(unit: string): string {
  return `Click a ${unit} to see where it fires; drag over tokens to see what does.`;
}

/** What the rows are, in a sentence. */
export function rowsSentence(firing: Firing, shown: Shown, choice: Choice, query: string): string {
  const { unit, rows, rows_total: total } = firing.data.header;
  if (firing.rows === 0) return `No ${unit} fires on this prompt.`;
  const among = [
    choice.layers.length > 0 ? ` of ${choice.layers.map((l) => `L${l}`).join(", ")}` : "",
    query.trim() ? " that match" : "",
  ].join("");
  if (shown.found === 0) return `No ${unit}${among} fires here; ${plural(total, unit)} in all.`;
  const n = Math.min(shown.found, choice.rows);
  const all = plural(shown.found, unit);
  const cut = rows < total && !among ? ` (the strongest of ${count(total)})` : "";
  if (choice.tokens.length > 0) {
    const some = n < shown.found ? `${count(n)} of ${all}` : all;
    const there = tokensText(firing, choice.tokens);
    return `${some}${among}${cut}, by mean strength on ${there} minus elsewhere`;
  }
  return n < shown.found
    ? `The ${count(n)} strongest of ${all}${among}${cut}`
    : `${all}${among}${cut}`;
}

/**
 * How far the computation is, or why there is nothing; "" where all is well. other: what is shown is
 * of another prompt.
 */
export function stateSentence(live: Live, other = false): string {
  switch (live.state) {
    case "empty":
      return "Nothing to show: iw.text(model, prompt) makes a view that is full.";
    case "computing": {
      const waiting = live.message === "starting" || live.message === "";
      const what = waiting ? "Waiting for the model" : capital(live.message);
      return other ? `${what}: “${clip(live.prompt, 70)}” …` : `${what} …`;
    }
    case "cancelled":
      return live.message.startsWith("Saved")
        ? live.message
        : "Cancelled. What is shown was found before; Run goes on.";
    case "failed":
      return ended(live.message);
    case "done":
      return "";
  }
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function ended(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
