import { describe, expect, it } from "vitest";
import { decode } from "../graph/buffer";
import { pack, random } from "./make";

const KINDS = [2, 0, 3];
const SPEC = {
  columns: { layer: [-1, 2, 4], activation: [Number.NaN, 1.5, Number.NaN] },
  links: [
    [0, 1, -0.5],
    [0, 2, 0.25],
    [1, 2, -2],
  ] as const,
};

describe("decode", () => {
  it("reads header and sections", () => {
    const result = decode(pack(KINDS, SPEC));
    expect(result?.header.tokens).toEqual(["<bos>", "the", " las"]);
    expect([...(result?.sections.layer ?? [])]).toEqual([-1, 2, 4]);
    expect([...(result?.sections.link_source ?? [])]).toEqual([0, 1, 0]);
    expect([...(result?.sections.link_weight ?? [])]).toEqual([-0.5, -2, 0.25]);
    expect(result?.sections.activation[0]).toBeNaN();
  });

  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8])("reads a DataView that starts at byte %i", (shift) => {
    const bytes = pack(KINDS, SPEC);
    const room = new Uint8Array(bytes.length + shift);
    room.set(bytes, shift);
    const result = decode(new DataView(room.buffer, shift, bytes.length));
    expect([...(result?.sections.link_weight ?? [])]).toEqual([-0.5, -2, 0.25]);
    expect([...(result?.sections.link_ptr ?? [])]).toEqual([0, 0, 1, 3]);
  });

  it("makes no copy where the address allows a view", () => {
    const bytes = pack(KINDS, SPEC);
    expect(decode(bytes)?.sections.link_weight.buffer).toBe(bytes.buffer);
  });

  it("takes an empty buffer as no graph", () => {
    expect(decode(null)).toBeNull();
    expect(decode(new DataView(new ArrayBuffer(0)))).toBeNull();
  });

  it("says what is wrong with a damaged buffer", () => {
    const bytes = pack(KINDS, SPEC);
    expect(() => decode(bytes.slice(0, bytes.length - 16))).toThrow("cut short");
    expect(() => decode(bytes.slice(0, 6))).toThrow("cut short");
    const other = pack(KINDS, { header: { version: 9 as never } });
    expect(() => decode(other)).toThrow("format version 9");
    const foreign = pack(KINDS, { header: { format: "x" as never } });
    expect(() => decode(foreign)).toThrow("not a graph");
  });

  it("refuses links to nodes that are not there", () => {
    const bad = pack(KINDS, { links: [[7, 1, 1]] });
    expect(() => decode(bad)).toThrow("unknown node");
  });

  it("never fails with anything but an Error, whatever the bytes are", () => {
    const next = random(5);
    const good = pack(KINDS, SPEC);
    for (let k = 0; k < 300; k++) {
      const bytes = good.slice();
      for (let j = 0; j < 4; j++)
        bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
      try {
        decode(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
  });
});
