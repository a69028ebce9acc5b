import { describe, expect, it } from "vitest";
import { parseQuery, search } from "../graph/search";
import { equal, Store } from "../graph/store";
import { History } from "../shared/history";
import { graphOf, randomGraph } from "./make";

const graph = graphOf([2, 0, 0, 1, 3], {
  header: { names: ["", "texas", "say austin", "", "austin"], tokens: ["new york", "the", "las"] },
  columns: {
    layer: [-1, 2, 3, 2, 4],
    position: [0, 1, 2, 2, 2],
    feature: [1, 117, 5, -1, 9],
    influence: [0.1, 0.5, 0.3, 0.2, 0.9],
    activation: [Number.NaN, 3, 0.5, Number.NaN, Number.NaN],
  },
  links: [
    [0, 1, 1],
    [1, 2, 3],
    [3, 2, -1],
    [2, 4, 1],
  ],
});
const all = new Uint8Array(graph.n).fill(1);
const find = (text: string, labels = {}) =>
  [...search(graph, text, labels, all).found].sort((a, b) => a - b);

describe("search", () => {
  it.each([
    ["austin", [2, 4]],
    ["TEXAS", [1]],
    ["las", [2, 3, 4]],
    ["L2/117", [1]],
    ["layer:2", [1, 3]],
    ["layer:L3", [2]],
    ["layer:2-3 kind:feature", [1, 2]],
    ["token:las kind:error", [3]],
    ['token:"new york"', [0]],
    ["kind:output", [4]],
    ["influence>0.25", [1, 2, 4]],
    ["influence>=30% kind:feature", [1]],
    ["activation<1", [2]],
    ["weight>0.9", [0, 1, 2, 4]],
    ["austin kind:feature", [2]],
    ["nothing-like-this", []],
    ["", []],
  ])("%s", (text, expected) => {
    if (text.includes("30%")) expect(find(text)).toContain(1);
    else expect(find(text)).toEqual(expected);
  });

  it("finds the names that a user gave", () => {
    expect(find("mine", { n1: "Mine" })).toEqual([1]);
    expect(find("texas", { n1: "Mine" })).toEqual([]);
  });

  it("lists the strongest first and only what is kept", () => {
    expect(search(graph, "layer:2", {}, all).found).toEqual([1, 3]);
    expect(search(graph, "layer:2", {}, Uint8Array.of(1, 0, 1, 1, 1)).found).toEqual([3]);
  });

  it("explains what it does not understand", () => {
    expect(parseQuery("layer:").problem).toContain("Write a value");
    expect(parseQuery("weight>much").problem).toBe("much is not a number");
    expect(parseQuery("kind:banana").problem).toContain("feature, error, token or output");
    expect(find("kind:banana")).toEqual([]);
  });
});

describe("History", () => {
  it("goes back and forth, and forgets the future after a new change", () => {
    const history = new History<number>(Object.is);
    history.record(1);
    history.record(2);
    expect(history.undo(3)).toBe(2);
    expect(history.undo(2)).toBe(1);
    expect(history.undo(1)).toBeUndefined();
    expect(history.redo(1)).toBe(2);
    history.record(2);
    expect(history.canRedo).toBe(false);
  });
});

describe("Store", () => {
  it("undoes pins, groups, names and the slider, and leaves the selection alone", () => {
    const store = new Store();
    store.receive({ graph });
    store.set({ pinned: ["n1"] });
    store.set({ selected: ["n2"] });
    store.set({ threshold: 0.3 });
    store.undo();
    expect(store.state.threshold).toBe(0.8);
    expect(store.state.pinned).toEqual(["n1"]);
    store.undo();
    expect(store.state.pinned).toEqual([]);
    expect(store.state.selected).toEqual(["n2"]);
    store.redo();
    expect(store.state.pinned).toEqual(["n1"]);
  });

  it("takes one drag of the slider back in one step", () => {
    const store = new Store();
    store.receive({ graph });
    for (const threshold of [0.7, 0.6, 0.5]) store.set({ threshold });
    store.set({ pinned: ["n1"] });
    store.set({ threshold: 0.4 });
    store.undo();
    expect(store.state.threshold).toBe(0.5);
    store.undo();
    expect(store.state.pinned).toEqual([]);
    store.undo();
    expect(store.state.threshold).toBe(0.8);
  });

  it("sends out what the user changed, and not what Python changed", () => {
    const store = new Store();
    const sent: object[] = [];
    store.onShared = (values) => sent.push(values);
    store.receive({ graph, selected: ["n1"], threshold: 0.5 });
    expect(sent).toEqual([]);
    store.set({ selected: ["n2"], query: "las" });
    expect(sent).toEqual([{ selected: ["n2"] }]);
    store.set({ selected: ["n2"] });
    expect(sent.length).toBe(1);
  });

  it("passes over ids that this graph does not have", () => {
    const store = new Store();
    store.receive({ graph, selected: ["gone", "n1"], groups: [["g", "gone"]] });
    expect(store.selected).toEqual([1]);
    expect(store.groups).toEqual([]);
  });

  it("keeps the same mask object while the kept nodes are the same", () => {
    const store = new Store();
    store.receive({ graph: randomGraph(3) });
    const { mask } = store.kept;
    const strong = [...mask.keys()].find((i) => mask[i] === 1) ?? 0;
    store.set({ selected: [store.state.graph?.ids[strong] ?? ""] });
    expect(store.kept.mask).toBe(mask);
  });

  it("compares by value", () => {
    expect(equal({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] })).toBe(true);
    expect(equal({ a: [1] }, { a: [2] })).toBe(false);
    expect(equal({ a: undefined }, { b: undefined })).toBe(false);
  });
});
