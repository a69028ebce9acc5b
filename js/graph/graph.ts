/**
 * A graph as the browser holds it: the wire's typed arrays, plus the transposed links, the share
 * that each link has in its target's input, and the drawing order. No object per node or link.
 */
import { probability, tokenText } from "../shared/format";
import { type Binary, decode, type Header, type Sections } from "./buffer";
import { rankDescending } from "./rank";

export const FEATURE = 0;
export const ERROR = 1;
export const TOKEN = 2;
export const LOGIT = 3;

export type Labels = Readonly<Record<string, string>>;

export class Graph {
  readonly n: number;
  readonly links: number;
  readonly ids: readonly string[];
  readonly tokens: readonly string[];
  readonly layers: number;
  readonly index: ReadonlyMap<string, number>;
  /** Target of every link; the wire has sources only, in rows by target. */
  readonly target: Uint32Array;
  /** Links leaving node i are outgoing[outPtr[i] .. outPtr[i + 1]]. */
  readonly outPtr: Uint32Array;
  readonly outgoing: Uint32Array;
  /** Signed part of the target's summed absolute input: what width and bars show. */
  readonly share: Float32Array;
  /** Denominator of `share`: the full graph's, or what arrived so far. */
  readonly inputSum: Float32Array;
  readonly maxInfluence: number;
  /** Row of the drawing: 0 tokens, 1 layer 0, …, layers + 1 outputs. */
  private readonly rows: Int16Array;
  private readonly columns: Int32Array;
  #rank: Uint32Array | null = null;
  #order: Uint32Array | null = null;

  constructor(
    readonly header: Header,
    readonly at: Sections,
  ) {
    this.n = header.nodes;
    this.links = header.links;
    this.ids = header.ids;
    this.tokens = header.tokens;
    this.layers = header.n_layers;
    this.index = new Map(header.ids.map((id, i) => [id, i]));

    const { link_ptr, link_source, link_weight, input_sum, influence, kind } = at;
    this.target = new Uint32Array(this.links);
    this.share = new Float32Array(this.links);
    this.inputSum = new Float32Array(this.n);
    this.outPtr = new Uint32Array(this.n + 1);
    for (let i = 0; i < this.n; i++) {
      let sum = input_sum[i];
      if (!(sum > 0)) {
        sum = 0;
        for (let e = link_ptr[i]; e < link_ptr[i + 1]; e++) sum += Math.abs(link_weight[e]);
      }
      this.inputSum[i] = sum;
      for (let e = link_ptr[i]; e < link_ptr[i + 1]; e++) {
        this.target[e] = i;
        this.share[e] = sum > 0 ? link_weight[e] / sum : 0;
        this.outPtr[link_source[e] + 1]++;
      }
    }
    for (let i = 0; i < this.n; i++) this.outPtr[i + 1] += this.outPtr[i];
    this.outgoing = new Uint32Array(this.links);
    const next = this.outPtr.slice();
    for (let e = 0; e < this.links; e++) this.outgoing[next[link_source[e]]++] = e;

    this.rows = new Int16Array(this.n);
    this.columns = new Int32Array(this.n);
    const last = Math.max(0, this.tokens.length - 1);
    for (let i = 0; i < this.n; i++) {
      const inside = Math.min(this.layers, Math.max(1, at.layer[i] + 1));
      this.rows[i] = kind[i] === TOKEN ? 0 : kind[i] === LOGIT ? this.layers + 1 : inside;
      this.columns[i] = Math.min(last, Math.max(0, at.position[i]));
    }

    let most = 0;
    for (let i = 0; i < this.n; i++) {
      if (kind[i] <= ERROR && influence[i] > most) most = influence[i];
    }
    this.maxInfluence = most;
  }

  static decode(data: Binary): Graph | null {
    const decoded = decode(data);
    return decoded && new Graph(decoded.header, decoded.sections);
  }

  /** Links from the one that carries most influence to the least: share times the target's own. */
  get rank(): Uint32Array {
    if (this.#rank) return this.#rank;
    const { influence, probability } = this.at;
    const flow = new Float32Array(this.links);
    for (let e = 0; e < this.links; e++) {
      const t = this.target[e];
      const weight = Math.max(influence[t] || 0, probability[t] || 0, 1e-9);
      flow[e] = Math.abs(this.share[e]) * weight;
    }
    this.#rank = rankDescending(flow);
    return this.#rank;
  }

  /** Nodes from most to least influence. */
  get byInfluence(): Uint32Array {
    this.#order ??= rankDescending(this.at.influence);
    return this.#order;
  }

  /** 1 for the strongest feature or error node. */
  influenceRank(i: number): number {
    const { kind } = this.at;
    let place = 0;
    for (const j of this.byInfluence) {
      if (kind[j] <= ERROR) place += 1;
      if (j === i) return place;
    }
    return place;
  }

  row(i: number): number {
    return this.rows[i];
  }

  column(i: number): number {
    return this.columns[i];
  }

  token(position: number): string {
    return tokenText(this.tokens[position] ?? "");
  }

  /** What the scores have to beat. */
  get control(): string {
    const { unit } = this.header;
    return unit === "neuron" ? "as many random neurons" : "random decoders";
  }

  /** Does it have a name that someone or something gave it? */
  named(i: number, labels: Labels): boolean {
    return this.ids[i] in labels || (this.header.names[i] !== "" && this.at.kind[i] !== ERROR);
  }

  label(i: number, labels: Labels): string {
    const given = labels[this.ids[i]];
    if (given) return given;
    const name = this.header.names[i];
    if (name) return this.at.kind[i] >= TOKEN ? tokenText(name) : name;
    switch (this.at.kind[i]) {
      case ERROR:
        return this.header.error_name;
      case TOKEN:
        return this.token(this.at.position[i]);
      case LOGIT:
        return `output ${this.at.feature[i]}`;
      default:
        return this.code(i);
    }
  }

  /** Layer and index, as people write it: L4/117. */
  code(i: number): string {
    return `L${this.at.layer[i]}/${this.at.feature[i]}`;
  }

  /** L4/117 at “las”; without the code where the name is the code already. */
  place(i: number, name = ""): string {
    const token = `“${this.token(this.at.position[i])}”`;
    switch (this.at.kind[i]) {
      case TOKEN:
        return `token ${this.at.position[i] + 1} of ${this.tokens.length}`;
      case LOGIT: {
        const p = probability(this.at.probability[i]);
        return p ? `output after ${token}, probability ${p}` : `output after ${token}`;
      }
      case ERROR:
        return `L${this.at.layer[i]} at ${token}`;
      default:
        return name === this.code(i) ? `at ${token}` : `${this.code(i)} at ${token}`;
    }
  }

  /** The short form for lists: L4 las; at “las” where the name is the code already. */
  where(i: number, name = ""): string {
    if (this.at.kind[i] === TOKEN) return "tok";
    if (this.at.kind[i] === LOGIT) return "out";
    const token = this.token(this.at.position[i]);
    return name === this.code(i) ? `at “${token}”` : `L${this.at.layer[i]} ${token}`;
  }

  /** For screen readers and search: texas, layer 4, feature 117, at token las. */
  spoken(i: number, labels: Labels): string {
    const name = this.label(i, labels);
    const at = `at token ${this.token(this.at.position[i])}`;
    switch (this.at.kind[i]) {
      case TOKEN:
        return `${name}, token ${this.at.position[i] + 1}`;
      case LOGIT:
        return `${name}, output ${at}`;
      case ERROR:
        return `${name}, layer ${this.at.layer[i]}, ${at}`;
      default:
        return `${name}, layer ${this.at.layer[i]}, ${this.header.unit} ${this.at.feature[i]}, ${at}`;
    }
  }

  inputs(i: number): Uint32Array {
    const { link_ptr } = this.at;
    return Uint32Array.from({ length: link_ptr[i + 1] - link_ptr[i] }, (_, k) => link_ptr[i] + k);
  }

  outputs(i: number): Uint32Array {
    return this.outgoing.subarray(this.outPtr[i], this.outPtr[i + 1]);
  }
}
