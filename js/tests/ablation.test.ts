/** The ablation view in a page without a notebook. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type Effect,
  EMPTY,
  type Host,
  type Live,
  type PanelId,
  parsePart,
  partId,
  type Result,
} from "../ablation/state";
import { View } from "../ablation/view";
import {
  changedFrom,
  effect,
  methodSentence,
  partName,
  share,
  short,
  stateSentence,
  together,
} from "../ablation/words";
import { expectText, HOSTILE, stubSizes } from "./page";

const LIVE: Live = {
  ...EMPTY,
  state: "done",
  progress: 1,
  model: "tiny",
  method: "noising",
  clean: ["<bos>", " Dallas", " is"],
  corrupted: ["<bos>", " Miami", " is"],
  answers: { clean: ["austin", 0.9], corrupted: ["tallahassee", 0.8] },
  layers: 2,
  panels: [
    { id: "residual", title: "residual stream", columns: 3 },
    { id: "attention", title: "attention", columns: 3 },
    { id: "mlp", title: "MLP", columns: 3 },
    { id: "heads", title: "heads", columns: 2 },
  ],
  metric: {
    name: "logit difference",
    unit: "logits",
    tokens: ["austin", "tallahassee"],
    base: 10,
    full: -10,
    scale: 20,
    kl: false,
  },
};
// residual L0, L1; attention …; the numbers name their places: 1, 2, … 22.
const VALUES = Float32Array.from({ length: 22 }, (_, at) => -(at + 1));

const EFFECT: Effect = {
  base: 10,
  singles: [-5],
  joint: -5,
  sum: -5,
  controls: { n: 20, mean: -0.5, low: -1, high: 0.5 },
  tokens: [{ text: "austin", named: true, before: [0.9, 12], after: [0.2, 7] }],
};
const resultOf = (ids: string[], values: Partial<Result> = {}): Result => ({
  direction: "noising",
  ids,
  stage: "done",
  message: "",
  effect: EFFECT,
  text: [" austin . texas", " tallahassee . florida"],
  ...values,
});

describe("ids", () => {
  it("name a mark, a row and a column, as in Python", () => {
    const part = { panel: "mlp", layer: 3, index: 9 } as const;
    expect(partId(part)).toBe("mlp.L3.p9");
    expect(partId({ ...part, index: null })).toBe("mlp.L3");
    expect(partId({ ...part, layer: null })).toBe("mlp.p9");
    expect(partId({ panel: "heads", layer: 2, index: 1 })).toBe("heads.L2.h1");
    for (const id of ["mlp.L3.p9", "residual.L0", "attention.p12", "heads.L2.h1"]) {
      const found = parsePart(id);
      expect(found && partId(found)).toBe(id);
    }
    expect(parsePart("texas")).toBeNull();
  });
});

describe("words", () => {
  it("name parts by the token of the run that is edited", () => {
    const part = { panel: "residual" as PanelId, layer: 1, index: 1 };
    expect(partName(part, LIVE)).toBe("L1 stream at “Dallas”");
    expect(partName(part, { ...LIVE, method: "denoising" })).toBe("L1 stream at “Miami”");
    expect(partName({ ...part, layer: null }, LIVE)).toBe("stream at “Dallas”, all layers");
    expect(partName({ ...part, panel: "mlp", index: null }, LIVE)).toBe("L1 MLP, all positions");
    expect(partName({ panel: "heads", layer: 0, index: 1 }, LIVE)).toBe("L0 head 1");
  });

  it("have numbers with a real minus sign, as short as they can be", () => {
    expect([-27.94, 0.0771, -0.996, 120.4, 0.00001].map((v) => effect(v))).toEqual([
      "−27.9",
      "+0.08",
      "−1.0",
      "+120",
      "+1.0e−5",
    ]);
    expect(effect(0.001, 29)).toBe("0");
    expect(effect(Number.NaN)).toBe("none");
    expect([-27.9, 1.23, -0.834].map(short)).toEqual(["−28", "+1.2", "−.83"]);
  });

  it("say how far an effect goes, and what two do together", () => {
    const metric = LIVE.metric;
    expect(metric && share(-15, metric, LIVE)).toBe("75% of the way to the corrupted run");
    expect(metric && share(-15, { ...metric, full: null }, LIVE)).toBe("");
    const controls = { n: 20, mean: 0, low: -1, high: 1 };
    expect(together(-10, -6, controls)).toContain("less than added up");
    expect(together(-10, -14, controls)).toContain("more than added up");
    expect(together(-10, -10.5, controls)).toContain("within what random changes do");
    expect(together(-10, 5, controls)).toContain("the other way");
  });

  it("have a sentence for every state and way", () => {
    const states = ["empty", "computing", "done", "cancelled", "failed"] as const;
    const said = states.map((state) => stateSentence({ ...LIVE, state, message: "3 of 22 parts" }));
    expect(new Set(said).size).toBe(5);
    expect(said[3]).toContain("Cancelled after 3 of 22 parts");
    const ways = ["noising", "denoising", "zero", "mean"] as const;
    expect(new Set(ways.map((method) => methodSentence({ ...LIVE, method }))).size).toBe(4);
  });

  it("find where a text begins to differ", () => {
    expect(changedFrom("a b c", "a b d e")).toEqual(["a b ", "d e"]);
    expect(changedFrom("a b", "c")).toEqual(["", "c"]);
  });
});

describe("the view", () => {
  let view: View;
  let host: { [K in keyof Host]: ReturnType<typeof vi.fn> };

  beforeEach(() => {
    vi.useFakeTimers();
    stubSizes();
    host = { act: vi.fn(() => true), choose: vi.fn(() => true) };
    view = new View(document.body, host as unknown as Host);
    view.receive(LIVE, VALUES);
    view.setChoice("residual", "noising", []);
  });

  afterEach(() => {
    view.destroy();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  const text = () => view.root.textContent ?? "";
  const cells = () => [...view.root.querySelectorAll<HTMLElement>("[role=gridcell]")];
  const cell = (name: string) =>
    cells().find((el) => el.getAttribute("aria-label")?.startsWith(name)) as HTMLElement;
  const named = (name: string) =>
    [...view.root.querySelectorAll("button")].find(
      (el) => (el.getAttribute("aria-label") ?? el.textContent) === name && !el.hidden,
    ) as HTMLButtonElement;
  const press = (el: HTMLElement, key: string, more: KeyboardEventInit = {}) =>
    el.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));

  it("draws layer 0 at the bottom, each mark with its number in words", () => {
    expect(cells().length).toBe(6);
    expect(cells()[0].getAttribute("aria-label")).toBe("L1 stream at “<bos>”: −4.0 logits");
    expect(cell("L0 stream at “is”").className).toContain("iw-a-neg");
    view.receive(
      LIVE,
      Float32Array.from(VALUES, (v, at) => (at === 2 ? -v : v)),
    );
    expect(cell("L0 stream at “is”").className).toContain("iw-a-pos");
    view.receive(
      LIVE,
      Float32Array.from(VALUES, (v, at) => (at === 2 ? Number.NaN : v)),
    );
    expect(cell("L0 stream at “is”").getAttribute("aria-label")).toContain("not computed");
  });

  it("writes both prompts along the axis and marks where they differ", () => {
    const axes = [...view.root.querySelectorAll(".iw-a-axis")].map((el) => el.textContent);
    expect(axes).toEqual(["clean<bos>Dallasis", "corrupted<bos>Miamiis"]);
    const differs = [...view.root.querySelectorAll(".iw-a-differs")].map((el) => el.textContent);
    expect(differs).toEqual(["Dallas", "Miami"]);
    view.setChoice("heads", "noising", []);
    expect(cells().length).toBe(4);
    expect(text()).toContain("corrupted<bos> Miami is");
  });

  it("shows a click at once from the heatmap, and all of it when the answer comes", () => {
    cell("L1 stream at “Dallas”").click();
    expect(host.choose).toHaveBeenCalledExactlyOnceWith({ selected: ["residual.L1.p1"] });
    expect(cell("L1 stream at “Dallas”").classList.contains("iw-a-own")).toBe(true);
    expect(view.root.querySelector(".iw-a-figure")?.textContent).toBe("−5.0 logits10.0 → 5.00");
    expect(view.root.dataset.iwResult).toBe("asked");
    expect(text()).toContain("measuring controls, next tokens and text …");
    view.setResult(resultOf(["residual.L1.p1"], { stage: "computing", text: null }));
    expect(text()).toContain("20 random changes as large: −0.50 (95%: −1.0 to +0.50)");
    expect(text()).toContain("writing …");
    view.setResult(resultOf(["residual.L1.p1"]));
    expect(text()).toContain("tallahassee . florida");
    expect(view.root.dataset.iwResult).toBe("done");
  });

  it("keeps what was measured: a second look asks for nothing it has", () => {
    view.setResult(resultOf(["residual.L1.p1"]));
    cell("L0 stream at “is”").click();
    cell("L1 stream at “Dallas”").click();
    expect(view.root.dataset.iwResult).toBe("done");
    expect(text()).toContain("tallahassee . florida");
    view.setResult(resultOf(["residual.L1.p1"], { stage: "computing", effect: null, text: null }));
    expect(view.root.dataset.iwResult).toBe("done");
  });

  it("adds with Shift, takes whole rows and columns by their labels, and lets go", () => {
    cell("L1 stream at “Dallas”").click();
    const shift = new MouseEvent("click", { bubbles: true, shiftKey: true });
    cell("L0 stream at “is”").dispatchEvent(shift);
    expect(host.choose).toHaveBeenLastCalledWith({
      selected: ["residual.L1.p1", "residual.L0.p2"],
    });
    expect(text()).toContain("2 selected");
    view.setResult(
      resultOf(["residual.L1.p1", "residual.L0.p2"], {
        effect: { ...EFFECT, singles: [-5, -3], sum: -8, joint: -6 },
      }),
    );
    expect(text()).toContain("one by one, added up−8.0");
    expect(text()).toContain("all together−6.0");
    expect(text()).toContain("Together less than added up");
    named("remove L0 stream at “is”").click();
    expect(host.choose).toHaveBeenLastCalledWith({ selected: ["residual.L1.p1"] });
    named("L1 stream, all positions").click();
    expect(host.choose).toHaveBeenLastCalledWith({ selected: ["residual.L1"] });
    expect(cell("L1 stream at “is”").getAttribute("aria-selected")).toBe("true");
    expect(cell("L0 stream at “is”").getAttribute("aria-selected")).toBe("false");
    named("stream at “Dallas”, all layers").click();
    expect(host.choose).toHaveBeenLastCalledWith({ selected: ["residual.p1"] });
    press(view.root, "Escape");
    expect(host.choose).toHaveBeenLastCalledWith({ selected: [] });
    expect(text()).toContain("strongest in this heatmap");
  });

  it("can be used by keyboard alone", () => {
    const start = cell("L0 stream at “<bos>”");
    expect(start.tabIndex).toBe(0);
    start.focus();
    press(start, "ArrowUp");
    press(document.activeElement as HTMLElement, "ArrowRight");
    expect(document.activeElement).toBe(cell("L1 stream at “Dallas”"));
    press(document.activeElement as HTMLElement, "Enter");
    expect(host.choose).toHaveBeenLastCalledWith({ selected: ["residual.L1.p1"] });
    press(document.activeElement as HTMLElement, "End");
    press(document.activeElement as HTMLElement, " ", { shiftKey: true });
    expect(host.choose).toHaveBeenLastCalledWith({
      selected: ["residual.L1.p1", "residual.L1.p2"],
    });
    press(document.activeElement as HTMLElement, "p");
    expect(host.choose).toHaveBeenLastCalledWith({ selected: ["residual.p2"] });
    press(document.activeElement as HTMLElement, "l");
    expect(host.choose).toHaveBeenLastCalledWith({ selected: ["residual.L1"] });
    expect(cells().filter((el) => el.tabIndex === 0).length).toBe(1);
    const tab = view.root.querySelector("[role=tab]") as HTMLElement;
    press(tab, "ArrowRight");
    expect(host.choose).toHaveBeenLastCalledWith({ shown: "attention" });
    const way = view.root.querySelector("[role=radio]") as HTMLElement;
    press(way, "ArrowRight");
    expect(host.choose).toHaveBeenLastCalledWith({ direction: "denoising" });
  });

  it("keeps both directions apart", () => {
    named("denoising").click();
    expect(cell("L1 stream at “Miami”").getAttribute("aria-label")).toContain("not computed");
    expect(text()).toContain("Running the prompts …");
    const metric = { ...(LIVE.metric as NonNullable<Live["metric"]>), base: -10, full: 10 };
    const values = VALUES.map((v) => -v);
    view.receive({ ...LIVE, method: "denoising", metric }, values);
    expect(cell("L1 stream at “Miami”").getAttribute("aria-label")).toContain("+5.0");
    named("noising").click();
    expect(cell("L1 stream at “Dallas”").getAttribute("aria-label")).toContain("−5.0");
  });

  it("cancels and goes on, and says what is wrong", () => {
    view.receive({ ...LIVE, state: "computing", message: "3 of 22 parts" }, VALUES);
    named("Cancel").click();
    expect(host.act).toHaveBeenCalledExactlyOnceWith("cancel");
    view.receive({ ...LIVE, state: "cancelled", message: "3 of 22 parts" }, VALUES);
    expect(named("Cancel")).toBeUndefined();
    named("Resume").click();
    expect(host.act).toHaveBeenLastCalledWith("resume");
    view.receive({ ...LIVE, state: "failed", message: "The weights are damaged" }, VALUES);
    expect(text()).toContain("The weights are damaged.");
    cell("L1 stream at “Dallas”").click();
    const failed = { stage: "failed", message: "No such feature.", effect: null } as const;
    view.receive(LIVE, new Float32Array());
    view.setResult(resultOf(["residual.L1.p1"], { ...failed, text: null }));
    expect(text()).toContain("No such feature.");
  });

  it("says when there is no kernel and keeps what was measured", () => {
    view.setResult(resultOf(["residual.L1.p1"]));
    view.setOffline(true);
    expect(text()).toContain("No kernel behind this view");
    cell("L1 stream at “Dallas”").click();
    expect(text()).toContain("tallahassee . florida");
    view.setOffline(false);
    expect(view.root.querySelector<HTMLElement>(".iw-news")?.hidden).toBe(true);
  });

  it("notices a kernel that has gone silent", () => {
    view.receive({ ...LIVE, state: "computing" }, VALUES);
    vi.advanceTimersByTime(20_000);
    expect(text()).toContain("No news from the kernel");
    view.receive({ ...LIVE, state: "computing" }, VALUES);
    vi.advanceTimersByTime(2000);
    expect(text()).not.toContain("No news from the kernel");
  });

  it("says so when it is empty", () => {
    view.receive({ state: "empty" }, new Float32Array());
    expect(text()).toContain("Nothing to show: iw.ablate(model, prompt)");
    expect(cells().length).toBe(0);
  });

  it("makes thousands of marks a few rows per frame", () => {
    const panels = LIVE.panels.map((panel) => ({ ...panel, columns: 200 }));
    const tokens = Array.from({ length: 200 }, (_, at) => `t${at}`);
    const values = new Float32Array(4 * 10 * 200).fill(1);
    view.receive({ ...LIVE, layers: 10, panels, clean: tokens, corrupted: null }, values);
    expect(cells().length).toBeLessThan(2000);
    vi.advanceTimersByTime(2000);
    expect(cells().length).toBe(2000);
    expect(cell("L9 stream at “t199”").className).toContain("iw-a-pos");
    // Columns are narrow by now, and not every token is written.
    const written = view.root.querySelectorAll(".iw-a-tick:not(.iw-a-quiet)").length;
    expect(written).toBe(100);
  });

  it("keeps bare keys from JupyterLab, and leaves it those with Ctrl", () => {
    const heard: string[] = [];
    const listen = (event: KeyboardEvent) => heard.push(event.key);
    document.body.addEventListener("keydown", listen);
    press(cells()[0], "a");
    press(cells()[0], "s", { ctrlKey: true });
    document.body.removeEventListener("keydown", listen);
    expect(heard).toEqual(["s"]);
  });

  it("takes texts from models and users for text", () => {
    const given = [{ id: HOSTILE, title: HOSTILE }];
    const hostile: Live = {
      ...LIVE,
      given,
      model: HOSTILE,
      message: HOSTILE,
      warning: HOSTILE,
      clean: [HOSTILE, "a", "b"],
      corrupted: [HOSTILE, HOSTILE, "b"],
      answers: { clean: [HOSTILE, 1], corrupted: [HOSTILE, 1] },
      metric: { ...(LIVE.metric as NonNullable<Live["metric"]>), name: HOSTILE, tokens: [HOSTILE] },
    };
    view.receive({ ...hostile, state: "failed" }, VALUES);
    view.receive(hostile, VALUES);
    view.setChoice("residual", "noising", [HOSTILE, "residual.L0.p0"]);
    const tokens = [{ ...EFFECT.tokens[0], text: HOSTILE }];
    view.setResult(
      resultOf([HOSTILE, "residual.L0.p0"], {
        message: "",
        effect: { ...EFFECT, singles: [1, 2], tokens },
        text: [HOSTILE, `x ${HOSTILE}`],
      }),
    );
    view.setChoice("heads", "noising", [HOSTILE]);
    view.setResult(resultOf([HOSTILE], { stage: "failed", message: HOSTILE, effect: null }));
    expectText(view.root);
  });
});
