/** The panel that asks the model: what it asks for, what it shows, and that undo works on it. */
import { beforeEach, describe, expect, it } from "vitest";
import { Actions } from "../graph/actions";
import { ticks } from "../graph/check/scatter";
import {
  type Answers,
  type Ask,
  answers,
  type Checked,
  NO_ANSWERS,
  type Proposal,
} from "../graph/check/state";
import { Panel } from "../graph/panel/panel";
import { Store } from "../graph/store";
import { graphOf } from "./make";
import { expectText, HOSTILE } from "./page";

const graph = graphOf([2, 0, 0, 3], {
  header: { names: ["the", "texas", "capital", "austin"] },
  columns: {
    layer: [-1, 0, 1, 4],
    position: [1, 1, 2, 2],
    feature: [5, 7, 8, 9],
    influence: [0, 0.4, 0.2, 0],
    probability: [Number.NaN, Number.NaN, Number.NaN, 0.9],
  },
  links: [
    [0, 1, 1],
    [1, 2, 2],
    [2, 3, 3],
  ],
});

const CHECKED: Checked = {
  ways: [
    { name: "direct", note: "attention frozen", title: "" },
    { name: "total", note: "all free", title: "" },
  ],
  targets: [
    {
      id: "n3",
      name: "austin",
      unit: "logit",
      probability: [0.9, 0.12],
      between: { patterns: -0.5, norms: 0.25 },
      lines: [
        {
          kind: "predicted",
          name: "graph predicts",
          title: "",
          changes: [{ value: -2 }, { value: -4 }],
        },
        {
          kind: "measured",
          name: "model says",
          title: "",
          changes: [{ value: -1.5 }, { value: -3 }],
        },
        {
          kind: "random",
          name: "20 random",
          title: "",
          changes: [
            { value: 0.1, low: -0.25, high: 0.5 },
            { value: 0, low: -1, high: 1 },
          ],
        },
      ],
    },
  ],
  notes: ["One prompt."],
};

let store: Store;
let panel: Panel;
let asked: Ask[];
let stopped: string[];

beforeEach(() => {
  store = new Store();
  asked = [];
  stopped = [];
  const model = {
    // What a node means is asked for whenever one is selected: meaning.test.ts.
    ask: (ask: Ask) => ask.what === "meaning" || asked.push(ask) > 0,
    cancel: (what: keyof Answers) => stopped.push(what) > 0,
  };
  panel = new Panel(store, new Actions(store), new AbortController().signal, model);
  document.body.replaceChildren(panel.el);
  store.receive({
    graph,
    threshold: 1,
    status: { state: "done", progress: 1, message: "" },
  });
});

function press(text: string): void {
  const found = [...panel.el.querySelectorAll("button")].find((b) => b.textContent === text);
  if (!found) throw new Error(`no button ${text} in: ${panel.el.textContent}`);
  found.click();
}

function receive(patch: Partial<Answers>): void {
  store.receive({ answers: { ...store.state.answers, ...patch } });
}

function checked(ids: readonly string[], factor: 0 | -1 | 2 = 0): void {
  receive({
    check: {
      state: "done",
      progress: 1,
      message: "",
      asked: { ids, factor },
      result: CHECKED,
    },
  });
}

describe("checking a selection", () => {
  it("asks with one press, for what is selected", () => {
    store.set({ selected: ["n1"] });
    press("check");
    expect(asked).toEqual([{ what: "check", ids: ["n1"], factor: 0 }]);
  });

  it("asks only for what can be changed", () => {
    store.set({ selected: ["n0", "n1", "n3"] });
    press("check");
    expect(asked).toEqual([{ what: "check", ids: ["n1"], factor: 0 }]);
    store.set({ selected: ["n0"] });
    expect(panel.el.textContent).toContain("Only features can be changed");
  });

  it("shows prediction, measurement and controls with their numbers, for both ways", () => {
    store.set({ selected: ["n1"] });
    press("check");
    checked(["n1"]);
    const rows = [...panel.el.querySelectorAll("tr")].map((row) => row.textContent);
    expect(rows).toEqual([
      "direct attention frozentotal all free",
      "austinlogit · p .90 → .12",
      "graph predicts−2.00−4.00",
      "model says−1.50−3.00",
      "20 random±0.50±1.00",
      "throughpatterns −0.50, norms +0.25",
    ]);
    expect(panel.el.textContent).toContain("One prompt.");
  });

  it("draws all bars of a unit on one scale that holds zero", () => {
    store.set({ selected: ["n1"] });
    press("check");
    checked(["n1"]);
    // The scale runs from −4 to 1, so zero lies at 80%.
    const bars = [...panel.el.querySelectorAll<HTMLElement>(".iw-track i")];
    const places = bars.map((bar) => [bar.className, bar.style.left, bar.style.width]);
    expect(places.slice(0, 4)).toEqual([
      ["iw-origin", "80%", ""],
      ["iw-neg", "40%", "40%"],
      ["iw-origin", "80%", ""],
      ["iw-neg", "0%", "80%"],
    ]);
    expect(places.at(-1)).toEqual(["iw-chance", "60%", "40%"]);
  });

  it("does not ask again for what it knows, in whatever order it was selected", () => {
    store.set({ selected: ["n1", "n2"] });
    press("check");
    checked(["n2", "n1"]);
    store.set({ selected: ["n2"] });
    expect(panel.el.querySelector(".iw-effects")).toBeNull();
    store.set({ selected: ["n2", "n1"] });
    expect(panel.el.querySelector(".iw-effects")).not.toBeNull();
    press("links");
    press("check");
    expect(asked.length).toBe(1);
  });

  it("asks anew for another factor", () => {
    store.set({ selected: ["n1"] });
    press("check");
    checked(["n1"]);
    press("× 2");
    expect(asked.at(-1)).toEqual({ what: "check", ids: ["n1"], factor: 2 });
    expect(panel.el.querySelector(".iw-effects")).toBeNull();
    press("ablate");
    expect(asked.length).toBe(2);
    expect(panel.el.querySelector(".iw-effects")).not.toBeNull();
  });

  it("says how far it is and can be cancelled", () => {
    store.set({ selected: ["n1"] });
    press("check");
    receive({
      check: {
        state: "computing",
        progress: 0.4,
        message: "running the model",
        asked: { ids: ["n1"], factor: 0 },
        result: null,
      },
    });
    expect(panel.el.querySelector("[role=status]")?.textContent).toContain("running the model 40%");
    press("Cancel");
    expect(stopped).toEqual(["check"]);
  });

  it("says in a sentence what went wrong, and can be asked again", () => {
    store.set({ selected: ["n1"] });
    press("check");
    const failed = { state: "failed", progress: 0, message: "Layer 9 is not there." } as const;
    receive({ check: { ...failed, asked: { ids: ["n1"], factor: 0 }, result: null } });
    expect(panel.el.textContent).toContain("Layer 9 is not there.");
    press("Check against the model");
    expect(asked.length).toBe(2);
  });

  it("says why a graph from a file cannot be asked", () => {
    receive({ unable: "This graph came from a file." });
    store.set({ selected: ["n1"], tool: "check" });
    expect(panel.el.textContent).toContain("This graph came from a file.");
    expect(panel.el.querySelector<HTMLButtonElement>(".iw-ask")?.disabled).toBe(true);
  });

  it("offers to send the selection to linked views", () => {
    receive({ neighbours: [{ name: "steering", verb: "steer this" }] });
    store.set({ selected: ["n2", "n1"], tool: "check" });
    press("steer this");
    expect(asked).toEqual([{ what: "send", to: 0, ids: ["n2", "n1"] }]);
  });
});

describe("checking many", () => {
  const agreement = { value: 0.8, low: 0.6, high: 0.9, n: 2 };
  const control = {
    name: "random graph",
    predicted: [1, -1],
    measured: [-1, 1],
    agreement: { value: -0.1, low: -0.4, high: 0.2, n: 2 },
  };
  const series = { title: "", unit: "logit", ids: ["n1", "n2"], predicted: [-1, 2] };
  const all = ["direct", "total"].map((name) => ({
    ...series,
    name,
    measured: name === "direct" ? [-1, 1] : [0, 1],
    agreement,
    control,
  }));

  beforeEach(() => {
    store.set({ wide: "many" });
    receive({
      many: {
        state: "done",
        progress: 1,
        message: "",
        asked: { nodes: 40, factor: 0 },
        result: { series: all, notes: [] },
      },
    });
  });

  it("puts a point on the diagonal where prediction and measurement agree", () => {
    const [point] = panel.el.querySelectorAll(".iw-point");
    const line = panel.el.querySelector(".iw-diagonal")?.getAttribute("d") ?? "";
    const [x0, y0, x1, y1] = [...line.matchAll(/[\d.]+/g)].map(Number);
    const [x, y] = ["cx", "cy"].map((name) => Number(point.getAttribute(name)));
    expect((y - y0) / (y1 - y0)).toBeCloseTo((x - x0) / (x1 - x0), 2);
  });

  it("shows the random graph beside, with both intervals and counts", () => {
    expect(panel.el.querySelectorAll(".iw-controlpoint").length).toBe(2);
    expect(panel.el.textContent).toContain("95% interval, n = 2this graph+0.80 (+0.60 to +0.90)");
    expect(panel.el.textContent).toContain("random graph−0.10 (−0.40 to +0.20)");
  });

  it("names the nodes that are farthest off, as a way in by keyboard", () => {
    const ids = ["n1", "n2", "n2"];
    const measured = [-1, 9, 2];
    const one = { ...all[0], ids, predicted: [-1, 2, 2], measured };
    const { many } = store.state.answers;
    receive({ many: { ...many, result: { series: [one], notes: [] } } });
    const names = [...panel.el.querySelectorAll(".iw-misses button")].map((b) => b.textContent);
    expect(names[0]).toBe("capital");
    press("capital");
    expect(store.state.selected).toEqual(["n2"]);
  });

  it("selects the node of a point", () => {
    panel.el.querySelectorAll(".iw-point")[1].dispatchEvent(new Event("click"));
    expect(store.state.selected).toEqual(["n2"]);
  });

  it("has a few round ticks, whatever the size of the numbers", () => {
    expect(ticks(-3, 4)).toEqual([-2, 0, 2, 4]);
    expect(ticks(-0.03, 0.002)).toEqual([-0.03, -0.02, -0.01, 0]);
    expect(ticks(0, 0)).toEqual([0]);
  });
});

describe("swapping", () => {
  it("asks only when another prompt and a label are given, and keeps what is typed", () => {
    store.set({ selected: ["n1"], tool: "swap" });
    const [prompt, label] = panel.el.querySelectorAll("input");
    expect(prompt.value).toBe("a prompt");
    prompt.value = "another prompt";
    prompt.dispatchEvent(new Event("input"));
    press("Swap in the model");
    expect(asked).toEqual([]);
    label.value = "california";
    label.dispatchEvent(new Event("input"));
    label.focus();
    receive({ unable: "" });
    store.receive({ status: { state: "done", progress: 1, message: "again" } });
    expect(document.activeElement).toBe(label);
    press("Swap in the model");
    expect(asked).toEqual([
      { what: "swap", ids: ["n1"], prompt: "another prompt", label: "california", strength: 1 },
    ]);
  });

  it("lists answers before and after, beside random groups", () => {
    store.set({ selected: ["n1"], tool: "swap" });
    receive({
      swap: {
        state: "done",
        progress: 1,
        message: "",
        asked: { ids: ["n1"], prompt: "another", label: "california", strength: 1 },
        result: {
          answers: [{ token: "austin", before: 0.9, after: 0.02, random: [0.8, 0.7, 0.9] }],
          brought: ["california"],
          controls: "20 random",
          notes: [],
        },
      },
    });
    const rows = [...panel.el.querySelectorAll("tr")].map((row) => row.textContent);
    expect(rows).toEqual(["answerbeforeswapped20 random", "austin.90.02.70 to .90"]);
  });
});

describe("suggested groups", () => {
  const proposal: Proposal = {
    key: "a",
    name: "about texas",
    ids: ["n1", "n2"],
    reason: "they write to the same nodes",
    score: 0.9,
    control: [0.3, -0.1, 0.5],
    draws: 200,
  };

  beforeEach(() => {
    store.set({ wide: "groups" });
    const result = { proposals: [proposal], notes: [] };
    const done = { state: "done", progress: 1, message: "", asked: {}, result } as const;
    receive({ proposals: done });
  });

  it("are outlined, with a reason and a score", () => {
    expect(store.preview).toEqual([1, 2]);
    expect(panel.el.textContent).toContain(
      "they write to the same nodes 200 random groups of this size: 0.30 (−0.10 to 0.50).",
    );
  });

  it("become a group of the name that was typed, and undo takes it back", () => {
    const name = panel.el.querySelector("input");
    if (!name) throw new Error("no name");
    name.value = "the state";
    name.dispatchEvent(new Event("input"));
    press("accept");
    expect(store.state.groups).toEqual([["the state", "n1", "n2"]]);
    expect(store.preview).toEqual([]);
    store.undo();
    expect(store.state.groups).toEqual([]);
    expect(panel.el.textContent).toContain("they write to the same nodes");
  });

  it("are gone when rejected, until undo brings them back", () => {
    press("reject");
    expect(panel.el.textContent).not.toContain("they write to the same nodes");
    expect(store.state.groups).toEqual([]);
    store.undo();
    expect(panel.el.textContent).toContain("they write to the same nodes");
  });
});

describe("what models and files say", () => {
  it("stays text in every answer", () => {
    const done = { state: "done", progress: 1, message: "" } as const;
    const failed = { state: "failed", progress: 0, message: HOSTILE } as const;
    const [target] = CHECKED.targets;
    store.set({ selected: ["n1"] });
    press("check");
    const named = { ...target, id: HOSTILE, name: HOSTILE, unit: HOSTILE };
    const result = { ...CHECKED, targets: [named], notes: [HOSTILE] };
    receive({ check: { ...done, asked: { ids: ["n1"], factor: 0 }, result } });
    expectText(panel.el);
    press("swap");
    const asked = { ids: ["n1"], prompt: HOSTILE, label: HOSTILE, strength: 1 };
    const answer = { token: HOSTILE, before: 1, after: 0, random: null };
    const swapped = { answers: [answer], brought: [HOSTILE], controls: HOSTILE, notes: [HOSTILE] };
    receive({ swap: { ...done, asked, result: swapped } });
    expectText(panel.el);
    receive({ swap: { ...failed, asked, result: null } });
    expectText(panel.el);
    store.set({ selected: [], wide: "groups" });
    const proposal = { key: "k", name: HOSTILE, ids: ["n1"], reason: HOSTILE, score: 1 };
    const proposals = [{ ...proposal, control: [0, 0, 0], draws: 1 }];
    receive({ proposals: { ...done, asked: {}, result: { proposals, notes: [HOSTILE] } } });
    expectText(panel.el);
    receive({ unable: HOSTILE });
    store.set({ wide: "many" });
    expectText(panel.el);
  });
});

describe("answers from the host", () => {
  it("are none where nothing was asked yet, or the trait is missing", () => {
    expect(answers(() => undefined)).toEqual(NO_ANSWERS);
    expect(answers((name) => (name === "unable" ? "no model" : {})).unable).toBe("no model");
  });
});
