/** The graph on the wire: one buffer (shared/binary.ts), links as compressed rows by target. */
import { type AnyHeader, type Arrays, type Binary, type Dtype, read } from "../shared/binary";

export type { Binary };

export interface Header extends AnyHeader {
  readonly format: "interp-widgets-graph";
  readonly version: 1;
  readonly prompt: string;
  readonly tokens: readonly string[];
  readonly n_layers: number;
  readonly unit: "feature" | "neuron";
  readonly error_name: string;
  readonly weight_name: string;
  readonly nodes: number;
  readonly links: number;
  readonly links_total: number;
  readonly scores: Readonly<Record<string, number | null>> | null;
  /** The same scores for random neurons, or for the same features with random decoders. */
  readonly controls: Readonly<Record<string, number | null>> | null;
  readonly ids: readonly string[];
  readonly names: readonly string[];
}

export const SECTIONS = {
  kind: "u1",
  layer: "i2",
  position: "i4",
  feature: "i4",
  activation: "f4",
  influence: "f4",
  cumulative: "f4",
  input_sum: "f4",
  error_input: "f4",
  bias: "f4",
  value: "f4",
  probability: "f4",
  effect: "f4",
  link_ptr: "u4",
  link_source: "u4",
  link_weight: "f4",
} as const satisfies Record<string, Dtype>;

export type Sections = Arrays<typeof SECTIONS>;

export interface Decoded {
  readonly header: Header;
  readonly sections: Sections;
}

const LAYOUT = {
  format: "interp-widgets-graph",
  version: 1,
  what: "graph",
  sections: SECTIONS,
} as const;

/** Returns null for an empty buffer; throws an Error that a person can read for a broken one. */
export function decode(value: Binary): Decoded | null {
  const found = read<Header, typeof SECTIONS>(value, LAYOUT, checkNames, (name, header) => {
    if (name === "link_ptr") return header.nodes + 1;
    return name.startsWith("link_") ? header.links : header.nodes;
  });
  if (found) checkLinks(found.sections, found.header.nodes, found.header.links);
  return found;
}

function checkNames(header: Header): void {
  if (header.ids.length !== header.nodes || header.names.length !== header.nodes) {
    throw new Error(`The graph's header does not name its ${header.nodes} nodes.`);
  }
}

/** One pass here spares a bounds check at every use. */
function checkLinks(sections: Sections, nodes: number, links: number): void {
  const { link_ptr, link_source } = sections;
  if (link_ptr[0] !== 0 || link_ptr[nodes] !== links) {
    throw new Error("The graph's links do not add up.");
  }
  for (let i = 0; i < nodes; i++) {
    if (link_ptr[i] > link_ptr[i + 1]) throw new Error("The graph's links do not add up.");
  }
  for (let e = 0; e < links; e++) {
    if (link_source[e] >= nodes) throw new Error(`Link ${e} starts at an unknown node.`);
  }
}
