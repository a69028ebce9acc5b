/** What fires on a prompt, on the wire (shared/binary.ts); `views/text_wire.py` writes it. */
import { type AnyHeader, type Arrays, type Binary, type Dtype, read } from "../shared/binary";

export type { Binary };

export interface Header extends AnyHeader {
  /** The second buffer belongs to the first with the same number. */
  readonly run: number;
  readonly prompt: string;
  /** What each token adds to the text; the first `special` ones stand in front of it. */
  readonly tokens: readonly string[];
  readonly special: number;
  readonly unit: "feature" | "neuron" | "direction";
  readonly rows: number;
  readonly cells: number;
  /** So many units are active, of which the strongest have rows. */
  readonly rows_total: number;
  /** By layer: an activation of strength 1. */
  readonly strong: Readonly<Record<string, number>>;
  readonly names: readonly string[];
}

/** Row r is (layer[r], feature[r]); its cells are ptr[r] to ptr[r + 1], ordered by position. */
const SECTIONS = {
  layer: "i2",
  feature: "i4",
  ptr: "u4",
  position: "i4",
  value: "f4",
} as const satisfies Record<string, Dtype>;

export interface Decoded {
  readonly header: Header;
  readonly sections: Arrays<typeof SECTIONS>;
}

const LAYOUT = {
  format: "interp-widgets-text",
  version: 1,
  what: "text",
  sections: SECTIONS,
} as const;

/** Null for an empty buffer; throws an Error that a person can read for a broken one. */
export function decode(value: Binary): Decoded | null {
  const found = read<Header, typeof SECTIONS>(value, LAYOUT, checkNames, (name, header) => {
    if (name === "ptr") return header.rows + 1;
    return name === "layer" || name === "feature" ? header.rows : header.cells;
  });
  if (found) checkCells(found);
  return found;
}

function checkNames({ names, rows }: Header): void {
  if (names.length !== rows) throw new Error(`The text's header does not name its ${rows} rows.`);
}

/** One pass here spares a bounds check at every use. */
function checkCells({ header, sections }: Decoded): void {
  const { ptr, position } = sections;
  const { rows, cells, tokens } = header;
  let adds = ptr[0] === 0 && ptr[rows] === cells;
  for (let r = 0; r < rows; r++) adds &&= ptr[r] <= ptr[r + 1];
  if (!adds) throw new Error("The text's cells do not add up.");
  for (let c = 0; c < cells; c++) {
    if (position[c] < 0 || position[c] >= tokens.length) {
      throw new Error(`Cell ${c} is at an unknown token.`);
    }
  }
}

export interface UsualHeader extends AnyHeader {
  readonly run: number;
  readonly rows: number;
  readonly cells: number;
  readonly n_tokens: number;
}

/** Of rows: tokens on which it is active, and its mean; of cells: the share of weaker ones. */
const USUAL = { count: "u4", mean: "f4", percentile: "f4" } as const satisfies Record<
  string,
  Dtype
>;

export interface Usual {
  readonly header: UsualHeader;
  readonly sections: Arrays<typeof USUAL>;
}

/** What the index says of the same rows and cells. */
export function decodeUsual(value: Binary): Usual | null {
  const layout = {
    format: "interp-widgets-text-index",
    version: 1,
    what: "index of a text",
    sections: USUAL,
  } as const;
  return read<UsualHeader, typeof USUAL>(
    value,
    layout,
    () => {},
    (name, header) => (name === "percentile" ? header.cells : header.rows),
  );
}
