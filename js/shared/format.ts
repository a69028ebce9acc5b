/** Numbers and words as the views print them: real minus sign, tabular-friendly widths. */

const MINUS = "\u2212";

export function minus(text: string): string {
  return text.replace("-", MINUS);
}

/** Three significant digits: 12.3, 0.041, 1,240, 3.1e−5. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "none";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1000) return minus(Math.round(value).toLocaleString("en-US"));
  if (size < 0.001) return minus(value.toExponential(1));
  return minus(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3));
}

/** A signed number in two decimals, the way the panel lists print it: +0.42, −0.12. */
export function signed(value: number, digits = 2): string {
  if (!Number.isFinite(value)) return "none";
  const text = Math.abs(value).toFixed(digits);
  const zero = Number(text) === 0;
  return `${zero ? "" : value < 0 ? MINUS : "+"}${text}`;
}

/** Signed with three significant digits, for raw weights of any size. */
export function signedNumber(value: number): string {
  return value > 0 ? `+${number(value)}` : number(value);
}

export function percent(value: number): string {
  if (!Number.isFinite(value)) return "none";
  const size = Math.abs(value) * 100;
  const digits = size === 0 || size >= 9.95 ? 0 : size >= 0.095 ? 1 : 2;
  return minus(`${(value * 100).toFixed(digits)}%`);
}

/** A probability without its leading zero: .82, 1.0, <.01. */
export function probability(value: number): string {
  if (!Number.isFinite(value)) return "";
  if (value > 0 && value < 0.005) return "<.01";
  return value >= 0.995 ? "1.0" : value.toFixed(2).replace(/^0/, "");
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A token as one readable word: blanks and line ends get a visible sign. */
export function tokenText(token: string): string {
  const shown = token.replaceAll("\n", "⏎").replaceAll("\t", "⇥").trim();
  return shown === "" ? "␣" : shown;
}

/** A character that would be invisible, or would move its neighbours, by its code. */
const HIDDEN = /[\p{Cc}\p{Cf}\u2028\u2029\u00a0\ufeff\ufffd]/gu;

/** A token as it stands in text: blanks stay, whatever cannot be seen gets a sign. */
export function visible(token: string): string {
  return token.replaceAll(HIDDEN, (sign) => {
    if (sign === "\n") return "⏎";
    if (sign === "\t") return "⇥";
    if (sign === "\r") return "␍";
    if (sign === "\ufffd") return sign;
    const code = sign.codePointAt(0) ?? 0;
    return `⟨${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** A token that must be seen, though it may be blank or only part of a character. */
export function marked(token: string): string {
  return token === "" ? "\ufffd" : visible(token).trim() || "␣";
}

export function clip(text: string, length: number): string {
  const letters = [...text];
  return letters.length <= length ? text : `${letters.slice(0, Math.max(1, length - 1)).join("")}…`;
}

/** What a user typed, or null: 3e-4, 0,0003 and 1 000 are numbers, too. */
export function typed(text: string): number | null {
  const clean = text
    .trim()
    .replaceAll(/[\s\u202f\u00a0]/g, "")
    .replace("−", "-")
    .replace(",", ".");
  if (clean === "") return null;
  const value = Number(clean);
  return Number.isFinite(value) ? value : null;
}
