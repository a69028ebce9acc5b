/** Every sentence and number form of the view, as functions of what Python sent. */
import { minus, number, percent, plural, signed } from "../shared/format";
import {
  type Knob,
  type Live,
  type Mode,
  type Row,
  rest,
  type Token,
  type Turn,
  type Where,
} from "./state";

/** A change of so many nats is shaded fully. */
export const FULL = 4;

export type Unit = "sigma" | "share" | "raw";

export const UNITS: readonly (readonly [Unit, string])[] = [
  ["sigma", "σ"],
  ["share", "% of norm"],
  ["raw", "raw"],
];

export const MODES: Readonly<Record<Mode, string>> = { add: "add", pin: "pin at", scale: "times" };

export const WHERE: readonly (readonly [Where, string])[] = [
  ["all", "all tokens"],
  ["end", "last of the prompt and new tokens"],
  ["new", "new tokens only"],
];

const sentence = (text: string): string =>
  text === "" || /[.!?…]$/.test(text) ? text : `${text}.`;

/** What is going on. The same words go to screen readers when the state changes. */
export function stateSentence(live: Live, tokens: number): string {
  switch (live.state) {
    case "empty":
      return "Nothing to steer yet: iw.steer(model, prompt, what) as the last line of a cell shows itself here.";
    case "measuring":
      return sentence(live.message) || "Measuring how the features vary by nature …";
    case "streaming":
      return `Writing, ${tokens} of ${plural(live.settings.length, "token")} …`;
    case "done":
      return sentence(live.message) || "Done.";
    case "cancelled":
      return "Cancelled: this is the text so far. Move a slider, or press “Write again”.";
    case "failed":
      return sentence(live.message) || "The text could not be written. Run the cell again.";
  }
}

/** A raw value in the unit of the fields, or null while its size is not known. */
export function inUnit(value: number, knob: Knob, unit: Unit): number | null {
  if (unit === "raw") return value;
  if (unit === "sigma") return knob.sigma ? value / knob.sigma : null;
  return knob.share === null ? null : 100 * value * knob.share;
}

export function toRaw(value: number, knob: Knob, unit: Unit): number | null {
  if (unit === "raw") return value;
  if (unit === "sigma") return knob.sigma ? value * knob.sigma : null;
  return knob.share ? value / 100 / knob.share : null;
}

/** As one would type it, with a real minus sign. Also what the field holds. */
export function written(value: number | null): string {
  if (value === null) return "";
  const size = Math.abs(value);
  const digits = size >= 99.5 ? 0 : size >= 9.95 ? 1 : 2;
  const short = value !== 0 && size < 0.01 ? value.toPrecision(2) : value.toFixed(digits);
  return minus(String(Number(short)));
}

/** The other sizes of a value, beside its field: raw, and how large that is in the stream. */
export function sizes(turn: Turn, knob: Knob, unit: Unit): string {
  if (turn.mode === "scale") return turn.value === 1 ? "as it is" : "times its value";
  const parts = [];
  if (unit !== "raw") parts.push(`raw ${number(turn.value)}`);
  if (unit !== "sigma" && knob.sigma) parts.push(`${signed(turn.value / knob.sigma, 1)} σ`);
  if (unit !== "share" && knob.share !== null)
    parts.push(`${percent(Math.abs(turn.value) * knob.share)} norm`);
  return parts.join(" · ");
}

/** What a slider's marks stand for, in numbers. */
export function natural(knob: Knob): string {
  if (knob.sigma === null)
    return knob.ready ? "Its natural size is not known." : "Its natural size is being measured.";
  const on = ` on ${plural(knob.tokens, "token")} of ${knob.text}`;
  const top = knob.top === null ? "" : `, at most ${number(knob.top)}`;
  const norm =
    knob.share === null
      ? ""
      : `. 1 raw is ${percent(knob.share)} of the residual stream's median norm there`;
  return `σ is ${number(knob.sigma)} raw${top}${on}${norm}.`;
}

export const turned = (turn: Turn): boolean => turn.value !== rest(turn.mode);

/** Under a text: how long, from where it differs, and how much steering wanted it. */
export function rowFacts(row: Row, base: Row | undefined): string {
  if (row.tokens.length === 0) return "";
  const parts = [plural(row.tokens.length, "token")];
  if (row.ended === "stop") parts[0] += ", ended by itself";
  if (base && base !== row) {
    const shared = Math.min(row.tokens.length, base.tokens.length);
    let at = 0;
    while (at < shared && row.tokens[at][0] === base.tokens[at][0]) at++;
    const longer = row.tokens.length !== base.tokens.length;
    if (at < shared) parts.push(`differs from token ${at + 1} on`);
    else if (!longer || base.ended === "") parts.push("same text so far");
    const moved = row.tokens.flatMap(([, , , kl]) => (kl === null ? [] : [kl]));
    if (moved.length > 0) {
      const mean = moved.reduce((a, b) => a + b, 0) / moved.length;
      parts.push(`mean KL ${number(mean)} nats`);
    }
  }
  return parts.join(" · ");
}

export function tokenTitle([, logprob, change, kl]: Token): string {
  const p = `log-probability ${signed(logprob)}`;
  if (change === null) return p;
  const by = `${p}, unsteered ${signed(logprob - change)}: ${signed(change)} nats by steering`;
  return kl === null ? by : `${by}, KL ${number(kl)}`;
}

/** How strongly a token is shaded, 0 to 1. */
export function shade(change: number | null): number {
  if (change === null || Math.abs(change) < 0.05) return 0;
  return Math.min(1, Math.abs(change) / FULL);
}
