/**
 * The graph on the wire: one buffer, a JSON header and typed sections. `views/wire.py` writes it.
 *
 *   u32 LE header length H | H bytes JSON, space padded so that 4 + H is a multiple of 8 | sections
 *
 * Sections start 8-byte aligned counted from the buffer's start. Hosts hand the buffer out as a
 * DataView at any offset, so a section is viewed in place where the address allows and copied
 * where it does not.
 */
export type Binary = DataView | ArrayBuffer | ArrayBufferView | null | undefined;

export interface Header {
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
  readonly sections: Readonly<Record<string, Section>>;
}

interface Section {
  readonly offset: number;
  readonly dtype: string;
  readonly length: number;
}

const TYPES = {
  u1: Uint8Array,
  i2: Int16Array,
  i4: Int32Array,
  u4: Uint32Array,
  f4: Float32Array,
} as const;

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
} as const satisfies Record<string, keyof typeof TYPES>;

export type Sections = {
  readonly [K in keyof typeof SECTIONS]: InstanceType<(typeof TYPES)[(typeof SECTIONS)[K]]>;
};

export interface Decoded {
  readonly header: Header;
  readonly sections: Sections;
}

/** Returns null for an empty buffer; throws an Error that a person can read for a broken one. */
export function decode(value: Binary): Decoded | null {
  if (value === null || value === undefined || value.byteLength === 0) return null;
  const buffer = ArrayBuffer.isView(value) ? value.buffer : value;
  const start = ArrayBuffer.isView(value) ? value.byteOffset : 0;
  const size = value.byteLength;
  if (size < 8) throw new Error("The graph's data is cut short.");

  const length = new DataView(buffer, start, 4).getUint32(0, true);
  if (4 + length > size) throw new Error("The graph's data is cut short.");
  const header = parseHeader(new TextDecoder().decode(new Uint8Array(buffer, start + 4, length)));

  const { nodes, links } = header;
  const sections: Record<string, unknown> = {};
  for (const [name, dtype] of Object.entries(SECTIONS)) {
    const section = header.sections[name];
    if (!section) throw new Error(`The graph's data has no section "${name}".`);
    if (section.dtype !== dtype) {
      throw new Error(`Section "${name}" is ${section.dtype}, not ${dtype}.`);
    }
    const wanted = name === "link_ptr" ? nodes + 1 : name.startsWith("link_") ? links : nodes;
    if (section.length !== wanted) {
      throw new Error(`Section "${name}" has ${section.length} values, not ${wanted}.`);
    }
    const Type = TYPES[dtype];
    const bytes = section.length * Type.BYTES_PER_ELEMENT;
    if (section.offset + bytes > size) throw new Error("The graph's data is cut short.");
    const at = start + section.offset;
    sections[name] =
      at % Type.BYTES_PER_ELEMENT === 0
        ? new Type(buffer as ArrayBuffer, at, section.length)
        : new Type((buffer as ArrayBuffer).slice(at, at + bytes));
  }
  const decoded = sections as Sections;
  checkLinks(decoded, nodes, links);
  return { header, sections: decoded };
}

function parseHeader(text: string): Header {
  const header = JSON.parse(text) as Header;
  if (header.format !== "interp-widgets-graph") throw new Error("This is not a graph's data.");
  if (header.version !== 1) {
    throw new Error(
      `This graph has format version ${header.version}; this view reads version 1. Update interp_widgets.`,
    );
  }
  if (header.ids.length !== header.nodes || header.names.length !== header.nodes) {
    throw new Error(`The graph's header does not name its ${header.nodes} nodes.`);
  }
  return header;
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
