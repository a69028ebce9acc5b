/** The part of the graph's panel that says what a node means: what it asks, shows, and passes on. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Card } from "../feature/state";
import { Actions } from "../graph/actions";
import { type Answers, type Ask, NO_ANSWERS } from "../graph/check/state";
import { Panel } from "../graph/panel/panel";
import { Store } from "../graph/store";
import { graphOf } from "./make";
import { expectText, HOSTILE } from "./page";

// A token, feature 7 of layer 0 at two positions, feature 8 of layer 1, an output.
const graph = graphOf([2, 0, 0, 0, 3], {
  header: { names: ["the", "texas", "texas", "", "austin"] },
  columns: {
    layer: [-1, 0, 0, 1, 4],
    position: [1, 1, 2, 2, 2],
    feature: [5, 7, 7, 8, 9],
    influence: [0, 0.4, 0.2, 0.1, 0],
    probability: [Number.NaN, Number.NaN, Number.NaN, Number.NaN, 0.9],
  },
  links: [
    [0, 1, 1],
    [1, 3, 2],
    [3, 4, 3],
  ],
});

function example(word: string, value: number) {
  return {
    tokens: ["in", ` ${word}`, " now"],
    activations: [0, value, 0],
    trigger: 1,
    document: 3,
    position: 12,
  };
}

const CARD: Card = {
  unit: "feature",
  name: "L0/7",
  layer: 0,
  feature: 7,
  scan: "it",
  model: "it",
  tokens: 1000,
  documents: 10,
  complete: true,
  indexed: true,
  label: null,
  density: { value: 0.01, count: 10, edges: [-3, -2, -1], counts: [4, 5] },
  activations: { edges: [0, 1, 2], counts: [6, 4], max: 2, here: 1.5, percentile: 90 },
  examples: ["dallas", "houston", "waco", "austin"].map((word, i) => example(word, 2 - i / 4)),
  negative: [],
  groups: [],
  logits: null,
  similar: null,
  upstream: null,
  downstream: [{ layer: 1, feature: 8, label: null, value: 0.5 }],
  virtual_control: null,
  effect: null,
  notes: [],
};

let store: Store;
let panel: Panel;
let asked: Ask[];

beforeEach(() => {
  store = new Store();
  asked = [];
  const model = { ask: (ask: Ask) => asked.push(ask) > 0, cancel: () => true };
  panel = new Panel(store, new Actions(store), new AbortController().signal, model);
  document.body.replaceChildren(panel.el);
  const status = { state: "done", progress: 1, message: "" } as const;
  store.receive({ graph, threshold: 1, status });
});

function receive(patch: Partial<Answers>): void {
  store.receive({ answers: { ...store.state.answers, ...patch } });
}

function known(ids: readonly string[], result: Card | null = CARD): void {
  receive({ meaning: { state: "done", progress: 1, message: "", asked: { ids }, result } });
}

function tab(name: string): void {
  panel.el.querySelector<HTMLButtonElement>(`[data-tab="${name}"]`)?.click();
}

describe("a node that is selected", () => {
  it("is asked about once, and shows some examples beside its links", () => {
    store.set({ selected: ["n1"] });
    expect(asked).toEqual([{ what: "meaning", ids: ["n1"] }]);
    known(["n1"]);
    const brief = panel.el.querySelector(".iw-brief");
    for (const word of ["dallas", "houston", "waco"]) expect(brief?.textContent).toContain(word);
    expect(brief?.textContent).not.toContain("austin");
    store.set({ selected: ["n3"] });
    store.set({ selected: ["n1"] });
    expect(asked.map((ask) => "ids" in ask && ask.ids[0])).toEqual(["n1", "n3"]);
    expect(panel.el.querySelector(".iw-brief")?.textContent).toContain("dallas");
  });

  it("does not show what another node means", () => {
    store.set({ selected: ["n1"] });
    known(["n1"]);
    store.set({ selected: ["n3"] });
    expect(panel.el.textContent).not.toContain("dallas");
  });

  it("is not asked about where nobody answers", () => {
    receive({ unable: "A graph from a file has no model." });
    store.set({ selected: ["n1"] });
    expect(asked).toEqual([]);
    tab("meaning");
    expect(panel.el.textContent).toContain("A graph from a file has no model.");
  });

  it("has no meaning of its own where it is a token, or where several are selected", () => {
    tab("meaning");
    store.set({ selected: ["n0"] });
    tab("meaning");
    expect(panel.el.textContent).toContain("select a single feature");
    store.set({ selected: ["n1", "n3"] });
    expect(panel.el.textContent).toContain("select a single feature");
    expect(asked).toEqual([]);
  });
});

describe("the tab with all of its meaning", () => {
  beforeEach(() => {
    store.set({ selected: ["n1"] });
    tab("meaning");
    known(["n1"]);
    asked = [];
  });

  it("keeps the card while the pointer and answers come and go", () => {
    const field = panel.el.querySelector("textarea");
    expect(field).not.toBeNull();
    field?.focus();
    receive({ told: "something" });
    store.set({ labels: { n3: "other" } });
    expect(document.activeElement).toBe(field);
  });

  it("runs a test text, and again for the next node", () => {
    const field = panel.el.querySelector("textarea") as HTMLTextAreaElement;
    field.value = "i live in dallas";
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    expect(asked).toEqual([{ what: "firing", ids: ["n1"], text: "i live in dallas" }]);
    receive({
      firing: {
        state: "done",
        progress: 1,
        message: "",
        asked: { ids: ["n1"], text: "i live in dallas" },
        result: { tokens: ["i", " live", " in", " dallas"], activations: [0, 0, 0, 1.8] },
      },
    });
    const fired = panel.el.querySelector(".iw-c-fired");
    expect(fired?.querySelector("mark")?.textContent).toBe("dallas");
    field.blur();
    asked = [];
    store.set({ selected: ["n3"] });
    expect(asked).toContainEqual({ what: "firing", ids: ["n3"], text: "i live in dallas" });
  });

  it("opens another feature of the graph", () => {
    const row = [...panel.el.querySelectorAll("button")].find((b) =>
      (b.textContent ?? "").includes("L1/8"),
    );
    row?.click();
    expect(store.state.selected).toEqual(["n3"]);
  });

  it("passes on a label for the node's feature", () => {
    const title = panel.el.querySelector<HTMLButtonElement>(".iw-card .iw-c-title");
    title?.click();
    const input = panel.el.querySelector<HTMLInputElement>(".iw-c-titleinput");
    if (!input) throw new Error("no field");
    input.value = "in texas";
    input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    expect(asked).toEqual([{ what: "label", ids: ["n1"], text: "in texas" }]);
  });

  it("says what went wrong", () => {
    receive({
      meaning: {
        ...NO_ANSWERS.meaning,
        state: "failed",
        asked: { ids: ["n1"] },
        message: "The index is damaged.",
      },
    });
    expect(panel.el.textContent).toContain("The index is damaged.");
  });

  it("shows hostile text as text", () => {
    const tokens = [HOSTILE, HOSTILE, HOSTILE];
    const row = { ...example("x", 1), tokens };
    const label = {
      text: HOSTILE,
      kind: "imported",
      source: HOSTILE,
      score: 0.9,
      low: 0.8,
      high: 0.95,
      control: 0.5,
      samples: 10,
      date: "",
    };
    known(["n1"], { ...CARD, label, examples: [row], notes: [HOSTILE] });
    expectText(panel.el);
  });
});
