/** The sentences of the browser: what is indexed, how far it is, what was found. */
import type { Card } from "../feature/state";
import { plainText } from "../shared/example";
import { count, number, percent, plural, probability } from "../shared/format";
import { type Live, type Mode, nameOf, type Page, parseSpot, type Row, type Sort } from "./state";

const sentence = (text: string): string =>
  text === "" || /[.!?…]$/.test(text) ? text : `${text}.`;

export function titleText(live: Live): string {
  if (live.state === "empty") return "Features";
  const kind = live.unit.charAt(0).toUpperCase() + live.unit.slice(1);
  return `${kind}s of ${live.model || live.scan}`;
}

/** Beside the title, while all is well. */
export function headline(live: Live): string {
  const units = live.layers.reduce((sum, { features }) => sum + features, 0);
  const size = `${plural(units, live.unit)} in ${plural(live.layers.length, "layer")}`;
  if (live.state === "empty") return "";
  if (live.state === "computing") return stateSentence(live);
  if (!live.indexed) return size;
  const part = live.complete ? "" : ", not read to the end";
  return `${size}, ${count(live.labelled)} labelled · ${count(live.tokens)} tokens of ${plural(live.documents, "text")}${part}`;
}

/**
 * How close two open features are, as far as either lists the other among its closest, with what
 * chance gives; "" until the weights of both are known.
 */
export function relationText(a: Card, b: Card): string {
  if (a.name === b.name || !a.similar || !b.similar) return "";
  const find = (name: "decoder" | "together", control: "control" | "together_control") => {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ]) {
      const found = from.similar?.[name].find((row) => nameOf(row) === to.name);
      const chance = from.similar?.[control];
      if (found)
        return `${number(found.value)}${chance ? ` (chance ${number(chance.value)})` : ""}`;
    }
    return null;
  };
  const cosine = find("decoder", "control");
  const shared = find("together", "together_control");
  const far = "not among each other’s closest";
  return `${a.name} and ${b.name}: cosine of decoders ${cosine ?? far}; shared tokens ${shared ?? far}.`;
}

/** Where no card is open. */
export function inviteText(live: Live): string {
  if (live.state === "empty") return "";
  if (live.state === "computing" && !live.indexed)
    return "The texts are being read; what each feature fires on appears here.";
  return `Open a ${live.unit} from the list to see what it means.`;
}

export function stateSentence(live: Live): string {
  switch (live.state) {
    case "empty":
      return "No features yet: iw.index(model, dictionary, text) as the last line of a cell shows itself here.";
    case "computing":
      return `${percent(live.progress)}, ${live.message || "starting"} …`;
    case "cancelled":
      return `${sentence(live.message) || "Cancelled."} Run its cell again to go on.`;
    case "failed":
      return sentence(live.message) || "The index could not be made. Run its cell again.";
    case "done":
      return live.indexed
        ? ""
        : `No text is indexed for these ${live.unit}s: iw.index(model, dictionary, text) finds examples.`;
  }
}

/** Above the list: how many, of how many. */
export function foundText(page: Page, live: Live): string {
  if (page.state === "computing") return "looking …";
  if (page.state === "failed") return sentence(page.message);
  const best = page.mode === "promotes" ? "the " : "the best ";
  const some = `${page.capped ? best : ""}${plural(page.total, live.unit)}`;
  if (page.text.trim() === "") return `${some}${where(page)}, ${SORTED[page.sort]}`;
  if (page.total === 0) return nothing(page, live);
  if (page.mode === "label" && parseSpot(page.text)) return "Enter opens it";
  return `${some}${where(page)} ${FOUND[page.mode]}`;
}

const where = ({ layer }: Page): string => (layer === null ? "" : ` of L${layer}`);

const SORTED: Readonly<Record<Sort, string>> = {
  match: "best labels first",
  score: "best labels first",
  density: "most often first",
  strength: "strongest first",
  number: "by number",
};

const FOUND: Readonly<Record<Mode, string>> = {
  label: "named so",
  token: "that fire on it",
  prompt: "that fire on this text",
  promotes: "that raise it most",
};

function nothing(page: Page, live: Live): string {
  if (page.message) return sentence(page.message);
  const text = `“${page.text.trim()}”`;
  switch (page.mode) {
    case "label":
      return `No ${live.unit}${where(page)} is called ${text}. What fires on it, or promotes it, can be looked for, too.`;
    case "token":
      return `No ${live.unit}${where(page)} fires on ${text} in the indexed texts.`;
    case "prompt":
      return `No ${live.unit}${where(page)} fires on ${text}.`;
    case "promotes":
      return `No ${live.unit}${where(page)} raises ${text}.`;
  }
}

export const PLACEHOLDERS: Readonly<Record<Mode, string>> = {
  label: "label or number",
  token: "a word it fires on",
  prompt: "a text to fire on",
  promotes: "a token to promote",
};

/** What the figures at the right edge of the rows are, in a word and in a sentence. */
export function figureName({ mode, sort, text }: Page): readonly [string, string] {
  if (sort === "match" && text.trim() !== "" && mode !== "label") return MATCHES[mode];
  if (sort === "score")
    return ["label", "How well its label tells active text from other text: .5 is chance"];
  if (sort === "strength") return ["strongest", "Its strongest activation on the indexed texts"];
  return ["active on", "The share of indexed tokens on which it is active"];
}

const MATCHES: Readonly<Record<Exclude<Mode, "label">, readonly [string, string]>> = {
  token: [
    "F1",
    "Of how often it fires on the word, and how often on little else: 1 is both always",
  ],
  prompt: ["of its top", "Its activation on this text as a share of its strongest in the index"],
  promotes: ["σ", "Its effect on the token, in standard deviations over all tokens"],
};

/** A row for those who listen: “texas, L2/117, active on 1.0% of tokens: people in fort worth”. */
export function rowAloud(row: Row, figure: string): string {
  const name = [row.label, nameOf(row), figure].filter(Boolean).join(", ");
  return row.example ? `${name}: ${plainText(row.example)}` : name;
}

/** What a row says of itself at its right edge. */
export function rowFigure(
  row: Row,
  { mode, sort }: Pick<Page, "mode" | "sort">,
): readonly [text: string, title: string] {
  if (row.value !== null && sort === "match") {
    if (mode === "token") return [probability(row.value), row.why];
    if (mode === "promotes") return [number(row.value), row.why];
    if (!row.strongest) return [number(row.value), row.why];
    return [percent(Math.abs(row.value / row.strongest)), row.why];
  }
  if (sort === "score")
    return row.score === null
      ? ["", ""]
      : row.by === "examples"
        ? [
            `examples ${probability(row.score)}`,
            `its examples separate ${probability(row.score)}, whatever it is called`,
          ]
        : [probability(row.score), `its label separates ${probability(row.score)}`];
  if (sort === "strength" && row.strongest !== null)
    return [number(row.strongest), `strongest activation ${number(row.strongest)}`];
  if (row.density === null) return ["", ""];
  return row.density > 0
    ? [percent(row.density), `active on ${percent(row.density)} of tokens`]
    : ["silent", "never active on the indexed texts"];
}
