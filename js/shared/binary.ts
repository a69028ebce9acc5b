/**
 * A buffer of typed arrays on the wire: a JSON header, then sections. `views/wire.py` writes it.
 *
 *   u32 LE header length H | H bytes JSON, space padded so that 4 + H is a multiple of 8 | sections
 *
 * Sections start 8-byte aligned counted from the buffer's start. Hosts hand the buffer out as a
 * DataView at any offset, so a section is viewed in place where the address allows and copied
 * where it does not.
 */
export type Binary = DataView | ArrayBuffer | ArrayBufferView | null | undefined;

interface Section {
  readonly offset: number;
  readonly dtype: string;
  readonly length: number;
}

export interface AnyHeader {
  readonly format: string;
  readonly version: number;
  readonly sections: Readonly<Record<string, Section>>;
}

const TYPES = {
  u1: Uint8Array,
  i2: Int16Array,
  i4: Int32Array,
  u4: Uint32Array,
  f4: Float32Array,
} as const;

export type Dtype = keyof typeof TYPES;

export type Arrays<S extends Record<string, Dtype>> = {
  readonly [K in keyof S]: InstanceType<(typeof TYPES)[S[K]]>;
};

/** What a buffer holds: its format, what people call it, its sections. */
export interface Layout<S extends Record<string, Dtype>> {
  readonly format: string;
  readonly version: number;
  readonly what: string;
  readonly sections: S;
}

/**
 * Header and sections; null for an empty buffer. `check` throws for a header that names too much or
 * too little, `length` says how long a section has to be. Throws an Error that a person can read.
 */
export function read<H extends AnyHeader, S extends Record<string, Dtype>>(
  value: Binary,
  layout: Layout<S>,
  check: (header: H) => void,
  length: (name: keyof S & string, header: H) => number,
): { readonly header: H; readonly sections: Arrays<S> } | null {
  if (value === null || value === undefined || value.byteLength === 0) return null;
  const { what } = layout;
  const short = `The ${what}'s data is cut short.`;
  const buffer = (ArrayBuffer.isView(value) ? value.buffer : value) as ArrayBuffer;
  const start = ArrayBuffer.isView(value) ? value.byteOffset : 0;
  const size = value.byteLength;
  if (size < 8) throw new Error(short);
  const bytes = new DataView(buffer, start, 4).getUint32(0, true);
  if (4 + bytes > size) throw new Error(short);
  const text = new TextDecoder().decode(new Uint8Array(buffer, start + 4, bytes));
  const header = JSON.parse(text) as H;
  if (header.format !== layout.format) throw new Error(`This is not a ${what}'s data.`);
  if (header.version !== layout.version) {
    throw new Error(
      `This ${what} has format version ${header.version}; this view reads version ${layout.version}. Update interp_widgets.`,
    );
  }
  check(header);
  const sections: Record<string, unknown> = {};
  for (const [name, dtype] of Object.entries(layout.sections)) {
    const section = header.sections[name];
    if (!section) throw new Error(`The ${what}'s data has no section "${name}".`);
    if (section.dtype !== dtype) {
      throw new Error(`Section "${name}" is ${section.dtype}, not ${dtype}.`);
    }
    const wanted = length(name, header);
    if (section.length !== wanted) {
      throw new Error(`Section "${name}" has ${section.length} values, not ${wanted}.`);
    }
    const Type = TYPES[dtype];
    const taken = section.length * Type.BYTES_PER_ELEMENT;
    if (section.offset + taken > size) throw new Error(short);
    const at = start + section.offset;
    sections[name] =
      at % Type.BYTES_PER_ELEMENT === 0
        ? new Type(buffer, at, section.length)
        : new Type(buffer.slice(at, at + taken));
  }
  return { header, sections: sections as Arrays<S> };
}
