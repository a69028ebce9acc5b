/** Graphs for tests: written in the wire format, read by the real decoder. */
import { type Binary, type Header, SECTIONS } from "../graph/buffer";
import { Graph } from "../graph/graph";
import type { Dtype } from "../shared/binary";

export function random(seed: number): () => number {
  let state = seed * 7919 + 17;
  return () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
}

export interface Spec {
  readonly header?: Partial<Header>;
  readonly columns?: Partial<Record<keyof typeof SECTIONS, number[]>>;
  /** [source, target, weight] */
  readonly links?: readonly (readonly [number, number, number])[];
}

const BYTES = { u1: 1, i2: 2, i4: 4, u4: 4, f4: 4 } as const;

export function pack(kind: readonly number[], spec: Spec = {}): Uint8Array {
  const n = kind.length;
  const rows = Array.from({ length: n }, (_, t) =>
    (spec.links ?? [])
      .filter(([, target]) => target === t)
      .sort((a, b) => Math.abs(b[2]) - Math.abs(a[2])),
  );
  const flat = rows.flat();
  const ptr = [0];
  for (const row of rows) ptr.push((ptr.at(-1) ?? 0) + row.length);
  const zeros = Array.from({ length: n }, () => 0);
  const columns: Record<string, number[]> = {
    ...Object.fromEntries(Object.keys(SECTIONS).map((name) => [name, zeros])),
    ...spec.columns,
    kind: [...kind],
    link_ptr: ptr,
    link_source: flat.map(([source]) => source),
    link_weight: flat.map(([, , weight]) => weight),
  };
  const header = {
    format: "interp-widgets-graph",
    version: 1,
    prompt: "a prompt",
    tokens: ["<bos>", "the", " las"],
    n_layers: 4,
    unit: "feature",
    error_name: "unexplained",
    weight_name: "direct effect",
    nodes: n,
    links: flat.length,
    links_total: flat.length,
    scores: null,
    controls: null,
    ids: kind.map((_, i) => `n${i}`),
    names: kind.map(() => ""),
    ...spec.header,
  };
  return write(header, SECTIONS, columns);
}

/** A buffer as `views/wire.py` writes it. */
export function write(
  header: object,
  dtypes: Readonly<Record<string, Dtype>>,
  columns: Readonly<Record<string, readonly number[]>>,
): Uint8Array {
  let length = 0;
  for (;;) {
    let offset = 4 + length;
    const sections: Record<string, object> = {};
    for (const [name, dtype] of Object.entries(dtypes)) {
      sections[name] = { offset, dtype, length: columns[name].length };
      offset += Math.ceil((columns[name].length * BYTES[dtype]) / 8) * 8;
    }
    const text = new TextEncoder().encode(JSON.stringify({ ...header, sections }));
    const needed = Math.ceil((4 + text.length) / 8) * 8 - 4;
    if (needed > length) {
      length = needed;
      continue;
    }
    const buffer = new Uint8Array(offset).fill(32, 4, 4 + length);
    const view = new DataView(buffer.buffer);
    view.setUint32(0, length, true);
    buffer.set(text, 4);
    for (const [name, dtype] of Object.entries(dtypes)) {
      const at = (sections[name] as { offset: number }).offset;
      columns[name].forEach((value, k) => {
        const p = at + k * BYTES[dtype];
        if (dtype === "u1") view.setUint8(p, value);
        else if (dtype === "i2") view.setInt16(p, value, true);
        else if (dtype === "i4") view.setInt32(p, value, true);
        else if (dtype === "u4") view.setUint32(p, value, true);
        else view.setFloat32(p, value, true);
      });
    }
    return buffer;
  }
}

export function graphOf(kind: readonly number[], spec: Spec = {}): Graph {
  return decoded(pack(kind, spec));
}

export function decoded(data: Binary): Graph {
  const graph = Graph.decode(data);
  if (!graph) throw new Error("empty");
  return graph;
}

/** Any graph: links point upwards, influence and cumulative influence are consistent. */
export function randomGraph(seed: number, n = 120, layers = 4, tokens = 6): Graph {
  const next = random(seed);
  const pick = (below: number) => Math.floor(next() * below);
  const kind: number[] = [];
  const layer: number[] = [];
  const position: number[] = [];
  for (let t = 0; t < tokens; t++) {
    kind.push(2);
    layer.push(-1);
    position.push(t);
  }
  for (let i = tokens; i < n - 3; i++) {
    kind.push(next() < 0.25 ? 1 : 0);
    layer.push(pick(layers));
    position.push(pick(tokens));
  }
  for (let i = 0; i < 3; i++) {
    kind.push(3);
    layer.push(layers);
    position.push(tokens - 1);
  }
  const links: [number, number, number][] = [];
  for (let k = 0; k < n * 4; k++) {
    const [s, t] = [pick(n), pick(n)];
    const readable = kind[t] === 0 || kind[t] === 3;
    if (readable && layer[s] < layer[t] && position[s] <= position[t]) {
      links.push([s, t, (next() - 0.4) * 3]);
    }
  }
  return graphOf(kind, {
    header: {
      tokens: Array.from({ length: tokens }, (_, t) => `token${t}`),
      n_layers: layers,
      names: kind.map((_, i) => (i % 3 === 0 ? `name ${i}` : "")),
    },
    columns: {
      layer,
      position,
      feature: kind.map((_, i) => i),
      influence: kind.map(() => next() ** 3),
      cumulative: kind.map((k) => (k > 1 ? 0 : next())),
      probability: kind.map((k) => (k === 3 ? next() : Number.NaN)),
    },
    links,
  });
}
