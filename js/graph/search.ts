/**
 * The search field's little language: words that must occur in a node's name, place or token, and
 * terms `layer:4`, `layer:2-5`, `token:las`, `kind:error`, `weight>0.2`, `influence>0.01`,
 * `activation>3`. All must hold. Quotes keep blanks together: token:"new york".
 */
import type { Graph, Labels } from "./graph";

type Test = (graph: Graph, i: number, labels: Labels) => boolean;

export interface Query {
  readonly empty: boolean;
  readonly matches: Test;
  /** A sentence about the first term that cannot be understood. */
  readonly problem: string;
}

const KINDS = [
  ["feature", "neuron"],
  ["error", "unexplained"],
  ["token", "tokens", "embedding"],
  ["logit", "output", "target"],
];

const TERM = /^(layer|token|kind|weight|influence|activation)(:|>=|<=|>|<|=)(.*)$/i;

export function parseQuery(text: string): Query {
  const tests: Test[] = [];
  let problem = "";
  for (const raw of split(text)) {
    const term = TERM.exec(raw);
    const test = term ? parseTerm(term[1].toLowerCase(), term[2], term[3]) : words(raw);
    if (typeof test === "string") problem ||= test;
    else tests.push(test);
  }
  return {
    empty: tests.length === 0,
    matches: (graph, i, labels) => tests.every((test) => test(graph, i, labels)),
    problem,
  };
}

/** Blanks separate, quotes hold together and are dropped. */
function split(text: string): string[] {
  const parts: string[] = [];
  for (const match of text.matchAll(/(?:"[^"]*"?|[^\s"])+/g)) {
    const part = match[0].replaceAll('"', "");
    if (part) parts.push(part);
  }
  return parts;
}

function words(raw: string): Test {
  const wanted = raw.toLowerCase();
  return (graph, i, labels) =>
    graph.label(i, labels).toLowerCase().includes(wanted) ||
    graph.token(graph.at.position[i]).toLowerCase() === wanted ||
    graph.code(i).toLowerCase() === wanted ||
    graph.ids[i].toLowerCase() === wanted;
}

function parseTerm(name: string, sign: string, value: string): Test | string {
  if (value === "") return `Write a value after ${name}${sign}`;
  if (name === "token") {
    const wanted = value.toLowerCase();
    return (graph, i) => graph.token(graph.at.position[i]).toLowerCase() === wanted;
  }
  if (name === "kind") {
    const kind = KINDS.findIndex((names) => names.includes(value.toLowerCase()));
    if (kind < 0) return "A kind is feature, error, token or output";
    return (graph, i) => graph.at.kind[i] === kind;
  }
  const range = /^L?(\d+)-L?(\d+)$/i.exec(value);
  if (name === "layer" && range) {
    const [low, high] = [Number(range[1]), Number(range[2])];
    return (graph, i) => graph.at.layer[i] >= low && graph.at.layer[i] <= high;
  }
  const wanted = Number(value.replace(name === "layer" ? /^L/i : /%$/, "").replace("−", "-"));
  if (!Number.isFinite(wanted)) return `${value} is not a number`;
  const bound = value.endsWith("%") ? wanted / 100 : wanted;
  const holds = compare(sign, bound);
  if (name === "layer") return (graph, i) => holds(graph.at.layer[i]);
  if (name === "influence") return (graph, i) => holds(graph.at.influence[i]);
  if (name === "activation") return (graph, i) => holds(graph.at.activation[i]);
  return (graph, i) => holds(strongestShare(graph, i));
}

function compare(sign: string, bound: number): (value: number) => boolean {
  switch (sign) {
    case ">":
      return (value) => value > bound;
    case ">=":
      return (value) => value >= bound;
    case "<":
      return (value) => value < bound;
    case "<=":
      return (value) => value <= bound;
    default:
      return (value) => value === bound;
  }
}

/** `weight` asks for the largest share that one link of this node has in its target's input. */
function strongestShare(graph: Graph, i: number): number {
  let most = 0;
  for (let e = graph.at.link_ptr[i]; e < graph.at.link_ptr[i + 1]; e++) {
    most = Math.max(most, Math.abs(graph.share[e]));
  }
  for (const e of graph.outputs(i)) most = Math.max(most, Math.abs(graph.share[e]));
  return most;
}

export function search(graph: Graph, text: string, labels: Labels, among: Uint8Array) {
  const query = parseQuery(text);
  const found: number[] = [];
  if (!query.empty && !query.problem) {
    for (const i of graph.byInfluence) {
      if (among[i] && query.matches(graph, i, labels)) found.push(i);
    }
  }
  return { query, found };
}
