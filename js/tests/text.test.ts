/** The text view in a page without a notebook. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decode, decodeUsual } from "../text/buffer";
import { Firing, type Unit } from "../text/firing";
import { frameOf } from "../text/paint";
import { choose, shade, shades } from "../text/rank";
import { EMPTY, type Host, type Live, NOTHING } from "../text/state";
import { View } from "../text/view";
import { readout, rowsSentence, rowTitle, strengthText, usualText } from "../text/words";
import { random, write } from "./make";
import { expectText, HOSTILE, stubSizes } from "./page";

type Cells = Readonly<Record<number, number>>;

interface Row {
  readonly unit: Unit;
  readonly name?: string;
  readonly cells: Cells;
}

const DTYPES = { layer: "i2", feature: "i4", ptr: "u4", position: "i4", value: "f4" } as const;
const TOKENS = ["<bos>", "the", " state", " dal", "las", " is"];

function buffer(rows: readonly Row[], header: object = {}): Uint8Array {
  const cells = rows.flatMap((row) => Object.entries(row.cells));
  const ptr = [0];
  for (const row of rows) ptr.push((ptr.at(-1) ?? 0) + Object.keys(row.cells).length);
  return write(
    {
      format: "interp-widgets-text",
      version: 1,
      run: 7,
      prompt: "the state dallas is",
      tokens: TOKENS,
      special: 1,
      unit: "feature",
      rows: rows.length,
      cells: cells.length,
      rows_total: rows.length,
      strong: { 0: 1, 1: 2, 2: 1, 3: 1 },
      names: rows.map((row) => row.name ?? ""),
      ...header,
    },
    DTYPES,
    {
      layer: rows.map((row) => row.unit[0]),
      feature: rows.map((row) => row.unit[1]),
      ptr,
      position: cells.map(([at]) => Number(at)),
      value: cells.map(([, value]) => value),
    },
  );
}

function firingOf(rows: readonly Row[], header: object = {}): Firing {
  const data = decode(buffer(rows, header));
  if (!data) throw new Error("empty");
  return new Firing(data);
}

function usual(count: number[], mean: number[], percentile: number[], header: object = {}) {
  const rows = count.length;
  const cells = percentile.length;
  return write(
    {
      format: "interp-widgets-text-index",
      version: 1,
      run: 7,
      rows,
      cells,
      n_tokens: 1000,
      ...header,
    },
    { count: "u4", mean: "f4", percentile: "f4" },
    { count, mean, percentile },
  );
}

const ROWS: readonly Row[] = [
  { unit: [0, 5], name: "the", cells: { 1: 0.9 } },
  { unit: [1, 3], name: "texas", cells: { 4: 1.8, 5: 0.4 } },
  { unit: [1, 8], name: "a state", cells: { 2: 1.2, 4: 0.6 } },
  { unit: [2, 2], cells: { 0: 9, 4: 0.5 } },
];

describe("a buffer", () => {
  it("becomes rows with their peaks; special tokens are no peaks", () => {
    const firing = firingOf(ROWS);
    expect([0, 1, 2, 3].map((row) => firing.peakAt[row])).toEqual([1, 4, 2, 4]);
    [0.9, 0.9, 0.6, 0.5].forEach((peak, row) => {
      expect(firing.peak[row]).toBeCloseTo(peak, 6);
    });
    expect(firing.code(1)).toBe("L1/3");
    expect(firing.name(3)).toBe("L2/2");
    expect(firing.rowOf([1, 8])).toBe(2);
    expect(firing.rowOf([1, 9])).toBe(-1);
    expect(firing.value(firing.cell(1, 5))).toBeCloseTo(0.4, 6);
    expect(firing.cell(1, 3)).toBe(-1);
    expect(firing.activeAt(4)).toBe(3);
    expect(firing.layers).toEqual([0, 1, 2]);
  });

  it("that is damaged is a sentence", () => {
    const whole = buffer(ROWS);
    expect(() => decode(whole.slice(0, 90))).toThrow("cut short");
    expect(() => decode(buffer(ROWS, { format: "interp-widgets-graph" }))).toThrow("not a text's");
    expect(() => decode(buffer(ROWS, { names: [] }))).toThrow("does not name its 4 rows");
    expect(() => decode(buffer(ROWS, { tokens: TOKENS.slice(0, 4) }))).toThrow("unknown token");
    expect(() => decode(buffer(ROWS, { rows: 3, names: ["", "", ""] }))).toThrow("values, not");
    expect(decode(new Uint8Array())).toBeNull();
  });

  it("of the index belongs to the rows it was made for", () => {
    const firing = firingOf(ROWS);
    firing.setUsual(decodeUsual(usual([10, 20, 30, 0], [0.1, 0.2, 0.3, 0], [1, 2, 3, 4, 5, 6, 7])));
    expect(firing.density(1)).toEqual({ share: 0.02, count: 20, mean: expect.closeTo(0.1, 6) });
    expect(firing.percentile(firing.cell(1, 4))).toBe(2);
    firing.setUsual(
      decodeUsual(usual([1, 1, 1, 1], [0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7], { run: 6 })),
    );
    expect(firing.density(1)).toBeNull();
  });
});

describe("more here", () => {
  it("is the difference of means, and chance its deviation over all choices of tokens", () => {
    const next = random(3);
    const cells = Object.fromEntries(
      [1, 2, 4, 5, 6, 7].map((at) => [at, Math.fround(next() * 2)] as const),
    );
    const tokens = Array.from({ length: 9 }, (_, i) => `t${i}`);
    const firing = firingOf([{ unit: [0, 0], cells }], { tokens, special: 1 });
    const values = tokens.slice(1).map((_, i) => cells[i + 1] ?? 0);
    const difference = (chosen: readonly number[]) => {
      const inside = chosen.reduce((sum, p) => sum + values[p - 1], 0);
      const all = values.reduce((sum, value) => sum + value, 0);
      return inside / chosen.length - (all - inside) / (values.length - chosen.length);
    };
    // Every choice of three of the eight tokens.
    const differences: number[] = [];
    for (let a = 1; a <= 8; a++)
      for (let b = a + 1; b <= 8; b++)
        for (let c = b + 1; c <= 8; c++) differences.push(difference([a, b, c]));
    const found = firing.more(0, firing.brush([2, 5, 6]));
    expect(found.more).toBeCloseTo(difference([2, 5, 6]), 6);
    expect(found.here - found.elsewhere).toBeCloseTo(found.more, 9);
    const spread = Math.sqrt(differences.reduce((sum, d) => sum + d * d, 0) / differences.length);
    expect(found.chance).toBeCloseTo(spread, 6);
  });

  it("counts a special token only where it is brushed, and all tokens have no rest", () => {
    const firing = firingOf(ROWS);
    expect(firing.more(3, firing.brush([4])).more).toBeCloseTo(0.5, 6);
    expect(firing.more(3, firing.brush([0])).here).toBeCloseTo(9, 6);
    const all = firing.more(1, firing.brush([1, 2, 3, 4, 5]));
    expect(all.elsewhere).toBe(0);
    expect(all.more).toBeCloseTo(1.1 / 5, 6);
    expect(all.chance).toBeNaN();
  });

  it("takes both signs for strength", () => {
    const firing = firingOf([{ unit: [0, 0], cells: { 1: -2, 2: 1 } }], { unit: "neuron" });
    expect(firing.more(0, firing.brush([1])).more).toBeCloseTo(2 - 1 / 4, 6);
  });
});

describe("rows", () => {
  const firing = firingOf(ROWS);
  const codes = (choice: Partial<typeof NOTHING>, query = "") =>
    [...choose(firing, { ...NOTHING, ...choice }, query).rows].map((row) => firing.code(row));

  it("stand by strength, by layer with the last on top, or by the position of their peak", () => {
    expect(codes({})).toEqual(["L0/5", "L1/3", "L1/8", "L2/2"]);
    expect(codes({ arrange: "layer" })).toEqual(["L2/2", "L1/8", "L1/3", "L0/5"]);
    expect(codes({ arrange: "position" })).toEqual(["L0/5", "L1/8", "L1/3", "L2/2"]);
  });

  it("stand by the brushed tokens, if there are any", () => {
    expect(codes({ tokens: [4] })).toEqual(["L1/3", "L2/2", "L1/8", "L0/5"]);
    expect(codes({ tokens: [2] })[0]).toBe("L1/8");
  });

  it("are the strongest only, of some layers, that match; and always those selected", () => {
    expect(codes({ rows: 2 })).toEqual(["L0/5", "L1/3"]);
    expect(codes({ rows: 2, selected: [[2, 2]] })).toEqual(["L0/5", "L1/3", "L2/2"]);
    expect(codes({ layers: [1] })).toEqual(["L1/3", "L1/8"]);
    expect(codes({}, "state")).toEqual(["L1/8"]);
    expect(codes({}, "L1")).toEqual(["L1/3", "L1/8"]);
    expect(codes({}, "l2/2")).toEqual(["L2/2"]);
    expect(codes({}, "8")).toEqual(["L1/8"]);
    expect(codes({}, "nothing of the kind")).toEqual([]);
    expect(choose(firing, { ...NOTHING, selected: [[1, 77]] }, "").silent).toEqual(["L1/77"]);
  });

  it("shade tokens by the strongest of them there", () => {
    const found = shades(firing, [1, 2]);
    expect(found.map(({ alpha }) => alpha > 0)).toEqual([false, false, true, false, true, true]);
    expect(found[4].alpha).toBeCloseTo(shade(0.9, false), 6);
    const two = firingOf([{ unit: [0, 0], cells: { 1: -0.5, 2: 0.25 } }], { unit: "neuron" });
    const both = shades(two, [0]).map(({ alpha, negative }) => [alpha, negative]);
    expect(both).toEqual([
      [0, false],
      [0.5, true],
      [0.25, false],
      [0, false],
      [0, false],
      [0, false],
    ]);
  });
});

describe("columns", () => {
  const letters = (text: string) => 6 * text.length;

  it("are as wide as fits, with names that never overlap", () => {
    const few = frameOf(firingOf(ROWS), 600, letters);
    expect(few.tilted).toBe(false);
    expect(few.column).toBe(60);
    const narrow = frameOf(firingOf(ROWS), 180, letters);
    expect(narrow.tilted).toBe(true);
    expect(narrow.column * 6 + narrow.beyond).toBeLessThanOrEqual(180);
    const tokens = Array.from({ length: 200 }, (_, i) => `averyverylongtoken${i}`);
    const many = frameOf(firingOf([], { tokens }), 560, letters);
    expect(many.column).toBe(15);
    // Lines of text at 60 degrees are column * sin(60°) apart: more than a line of 11 px.
    expect(many.column * Math.sin(Math.PI / 3)).toBeGreaterThan(11);
    expect(Math.max(...many.names.map((name) => name.length))).toBeLessThanOrEqual(11);
  });
});

describe("words", () => {
  it("give strengths in two decimals with a real minus sign", () => {
    expect([1.036, 0.5, -0.25, 0.001, 0, 19.3].map((v) => strengthText(v))).toEqual([
      "1.04",
      ".50",
      "−.25",
      "<.01",
      "0",
      "19",
    ]);
    expect(strengthText(0.5, true)).toBe("+.50");
    expect([0.0042, 0.0001, 0.5, 0].map(usualText)).toEqual([".004", "<.001", ".50", "0"]);
  });

  it("say what a cell holds, and how usual that is", () => {
    const firing = firingOf(ROWS);
    expect(readout(firing, 1, 4)).toBe("texas, L1/3 at “las”: 1.80, strength .90");
    expect(readout(firing, 1, 2)).toBe("texas, L1/3 at “state”: does not fire");
    expect(readout(firing, null, 4)).toBe("“las”, token 4: 3 features fire here");
    firing.setUsual(
      decodeUsual(usual([10, 20, 30, 0], [0.1, 0.2, 0.3, 0], [1, 98, 3, 4, 5, 6, 7])),
    );
    expect(readout(firing, 1, 4)).toContain("stronger than 98% of its 20 activations in the index");
    expect(readout(firing, 3, 4)).toContain("never fires in the index");
    expect(rowTitle(firing, 1, firing.more(1, firing.brush([4])))).toContain(
      "mean strength .90 on the brushed tokens, .05 elsewhere",
    );
    expect(rowTitle(firing, 1, null)).toContain("2.0% of the 1,000 tokens of the index");
  });

  it("say what the rows are", () => {
    const firing = firingOf(ROWS);
    const sentence = (choice: Partial<typeof NOTHING>, query = "") => {
      const full = { ...NOTHING, ...choice };
      return rowsSentence(firing, choose(firing, full, query), full, query);
    };
    expect(sentence({})).toBe("4 features");
    expect(sentence({ rows: 2 })).toBe("The 2 strongest of 4 features");
    expect(sentence({ layers: [1] })).toBe("2 features of L1");
    expect(sentence({ tokens: [4] })).toBe("4 features, by mean strength on “las” minus elsewhere");
    expect(sentence({}, "zzz")).toContain("fires here; 4 features in all.");
  });
});

const LIVE: Live = {
  ...EMPTY,
  state: "done",
  progress: 1,
  prompt: "the state dallas is",
  scan: "organism",
  layers: [0, 1, 2],
};

describe("the view", () => {
  let view: View;
  let host: { [K in keyof Host]: ReturnType<typeof vi.fn> };
  const all = (selector: string) => [...view.root.querySelectorAll<HTMLElement>(selector)];
  const names = () =>
    all("[data-row]")
      .sort((a, b) => Number(a.ariaPosInSet ?? 0) - Number(b.ariaPosInSet ?? 0))
      .sort((a, b) => Number.parseInt(a.style.top, 10) - Number.parseInt(b.style.top, 10))
      .map((el) => el.dataset.code);
  const token = (at: number) => all(`[data-at="${at}"]`)[0];
  const row = (code: string) => all(`[data-code="${code}"]`)[0];
  const press = (el: HTMLElement, type: string, more: object = {}) =>
    el.dispatchEvent(new MouseEvent(type, { bubbles: true, cancelable: true, button: 0, ...more }));
  const key = (el: HTMLElement, name: string, more: object = {}) =>
    el.dispatchEvent(
      new KeyboardEvent("keydown", { bubbles: true, cancelable: true, key: name, ...more }),
    );
  const drag = (from: number, to: number) => {
    press(token(from), "pointerdown");
    press(token(to), "pointerover");
    press(token(to), "pointerup");
  };
  const marked = () => all(".iw-x-brushed").map((el) => Number(el.dataset.at));
  const alpha = (at: number) =>
    Number(
      token(at).querySelector<HTMLElement>(".iw-x-mark")?.style.getPropertyValue("--iw-alpha"),
    );

  beforeEach(() => {
    vi.useFakeTimers();
    stubSizes();
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
    host = {
      choose: vi.fn(() => true),
      run: vi.fn(() => true),
      act: vi.fn(() => true),
      send: vi.fn(() => true),
    };
    document.body.replaceChildren();
    view = new View(document.body, host as unknown as Host);
    view.setData(buffer(ROWS));
    view.setLive(LIVE);
  });

  afterEach(() => {
    view.destroy();
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it("shows the prompt as running text and a row for each feature", () => {
    expect(all(".iw-x-text")[0].textContent?.replace(/\s+/g, " ")).toBe(
      "<bos> the state dallas is",
    );
    expect(names()).toEqual(["L0/5", "L1/3", "L1/8", "L2/2"]);
    expect(row("L1/3").getAttribute("aria-label")).toContain("texas, L1/3; peak 1.80 at “las”");
  });

  it("ranks rows by tokens that are dragged over, and tells Python once", () => {
    drag(3, 4);
    expect(marked()).toEqual([3, 4]);
    expect(names()[0]).toBe("L1/3");
    expect(host.choose.mock.calls).toEqual([[{ tokens: [3, 4] }]]);
    expect(view.root.dataset.iwTokens).toBe("3 4");
    press(token(5), "pointerdown", { shiftKey: true });
    expect(marked()).toEqual([3, 4, 5]);
    press(token(1), "pointerdown", { ctrlKey: true });
    expect(marked()).toEqual([1, 3, 4, 5]);
  });

  it("clears a token that is clicked again", () => {
    drag(4, 4);
    drag(4, 4);
    expect(marked()).toEqual([]);
    expect(host.choose.mock.calls.at(-1)).toEqual([{ tokens: [] }]);
  });

  it("brushes with Shift and arrows, from where one stands", () => {
    token(1).focus();
    key(token(1), "ArrowRight");
    key(token(2), "ArrowRight", { shiftKey: true });
    key(token(3), "ArrowRight", { shiftKey: true });
    expect(marked()).toEqual([2, 3, 4]);
    key(token(4), "ArrowLeft", { shiftKey: true });
    expect(marked()).toEqual([2, 3]);
    expect(document.activeElement).toBe(token(3));
    key(token(3), "Enter");
    expect(marked()).toEqual([3]);
  });

  it("shades the text by the features that are clicked", () => {
    press(row("L2/2"), "pointerover");
    expect([1, 2, 3, 4, 5].filter((at) => alpha(at) > 0)).toEqual([4]); // before it is clicked
    press(row("L1/8"), "click");
    expect([1, 2, 3, 4, 5].filter((at) => alpha(at) > 0)).toEqual([2, 4]);
    press(row("L1/3"), "click", { ctrlKey: true });
    expect([1, 2, 3, 4, 5].filter((at) => alpha(at) > 0)).toEqual([2, 4, 5]);
    expect(host.choose.mock.calls.at(-1)).toEqual([
      {
        selected: [
          [1, 8],
          [1, 3],
        ],
      },
    ]);
    press(row("L1/8"), "click", { ctrlKey: true });
    expect([1, 2, 3, 4, 5].filter((at) => alpha(at) > 0)).toEqual([4, 5]);
    expect(alpha(4)).toBeGreaterThan(alpha(5));
  });

  it("shows both directions at once, Escape clears both, undo brings them back", () => {
    drag(4, 4);
    press(row("L1/8"), "click");
    expect(marked()).toEqual([4]);
    expect(alpha(2)).toBeGreaterThan(0);
    key(row("L1/8"), "Escape");
    expect(marked()).toEqual([]);
    expect(alpha(2)).toBe(0);
    key(row("L1/8"), "z", { ctrlKey: true });
    expect(marked()).toEqual([4]);
    expect(alpha(2)).toBeGreaterThan(0);
    expect(host.choose.mock.calls.at(-1)?.[0]).toMatchObject({ tokens: [4], selected: [[1, 8]] });
    key(row("L1/8"), "z", { ctrlKey: true });
    key(row("L1/8"), "z", { ctrlKey: true });
    expect(marked()).toEqual([]);
  });

  it("is walked with the arrow keys; left and right move along the tokens", () => {
    const list = all(".iw-x-list")[0];
    row("L0/5").focus();
    key(row("L0/5"), "ArrowDown");
    expect(document.activeElement).toBe(row("L1/3"));
    key(row("L1/3"), "ArrowRight");
    expect(all(".iw-x-read")[0].textContent).toContain("at “las”: 1.80");
    key(row("L1/3"), "ArrowRight", { shiftKey: true });
    expect(marked()).toEqual([4, 5]);
    key(document.activeElement as HTMLElement, "Enter");
    expect(host.choose.mock.calls.at(-1)?.[0]).toHaveProperty("selected");
    expect(list.getAttribute("aria-multiselectable")).toBe("true");
  });

  it("filters by layer and words, and offers more rows", () => {
    const select = all(".iw-x-layers")[0] as HTMLSelectElement;
    select.value = "1";
    select.dispatchEvent(new Event("change"));
    expect(names()).toEqual(["L1/3", "L1/8"]);
    const search = all(".iw-x-search")[0] as HTMLInputElement;
    search.value = "tex";
    search.dispatchEvent(new Event("input"));
    expect(names()).toEqual(["L1/3"]);
    const many = Array.from({ length: 70 }, (_, i) => ({
      unit: [0, i] as const,
      cells: { 1: 1 + i / 100 },
    }));
    view.setChoice({ layers: [] });
    search.value = "";
    search.dispatchEvent(new Event("input"));
    view.setData(buffer(many));
    const more = all(".iw-x-end button")[0];
    expect(more.textContent).toBe("30 more of 40");
    more.click();
    expect(host.choose.mock.calls.at(-1)).toEqual([{ rows: 60 }]);
    expect(all(".iw-x-end button")[0].textContent).toBe("10 more of 10");
    // Only what is in sight is there.
    expect(all("[data-row]").length).toBeLessThan(30);
  });

  it("runs another prompt from the field, and Escape leaves it", () => {
    all(".iw-x-side button")[0].click();
    const field = all("textarea")[0] as HTMLTextAreaElement;
    expect(field.value).toBe("the state dallas is");
    field.value = "the state of ohio is";
    key(field, "Enter", { shiftKey: true });
    expect(host.run).not.toHaveBeenCalled();
    key(field, "Enter");
    expect(host.run.mock.calls).toEqual([["the state of ohio is"]]);
    view.setLive({ ...LIVE, problem: "Refused." });
    all(".iw-x-side button")[0].click();
    expect(field.value).toBe("the state of ohio is"); // to be put right
    key(field, "Escape");
    expect(field.hidden).toBe(true);
  });

  it("sends what is selected to linked views", () => {
    view.setLive({ ...LIVE, neighbours: [{ name: "steering", verb: "steer these" }] });
    const buttons = () => all(".iw-x-chosen button").map((el) => el.textContent);
    expect(buttons()).toEqual([]);
    press(row("L1/3"), "click");
    expect(buttons()).toEqual(["texas selected", "steer these", "clear"]);
    all(".iw-x-chosen button")[1].click();
    expect(host.send.mock.calls).toEqual([[0]]);
    view.setLive({
      ...LIVE,
      neighbours: [{ name: "steering", verb: "steer these" }],
      told: "Sent.",
    });
    expect(all(".iw-x-chosen")[0].textContent).toContain("Sent.");
  });

  it("takes what is chosen in Python, without telling it back", () => {
    view.setChoice({ selected: [[1, 3]], tokens: [2], arrange: "position" });
    expect(marked()).toEqual([2]);
    expect(row("L1/3").getAttribute("aria-selected")).toBe("true");
    expect(names()).toEqual(["L0/5", "L1/8", "L1/3", "L2/2"]);
    expect(host.choose).not.toHaveBeenCalled();
  });

  it("has a sentence and a way on in every state", () => {
    const notice = () => all(".iw-news")[0];
    const shown = (name: string) => {
      const found = all(".iw-topline button").find((el) => el.textContent === name);
      return found !== undefined && !found.hidden;
    };
    expect(notice().hidden).toBe(true);
    view.setLive({ ...LIVE, state: "computing", message: "running the prompt", progress: 0.1 });
    expect(notice().textContent).toBe("Running the prompt …");
    const other = { ...LIVE, prompt: "the state miami is", message: "starting" };
    view.setLive({ ...other, state: "computing" });
    expect(notice().textContent).toBe("Waiting for the model: “the state miami is” …");
    expect(shown("Cancel")).toBe(true);
    view.setLive({ ...LIVE, state: "cancelled", message: "Cancelled: …" });
    expect(notice().textContent).toContain("Cancelled.");
    expect([shown("Cancel"), shown("Run")]).toEqual([false, true]);
    view.setLive({ ...LIVE, state: "failed", message: "Out of memory" });
    expect(notice().textContent).toBe("Out of memory.");
    view.setLive({ ...LIVE, problem: "The prompt is empty: give at least one word." });
    expect(notice().textContent).toContain("The prompt is empty");
    view.setOffline(true);
    expect(notice().textContent).toContain("No kernel behind this view");
    view.setOffline(false);
    view.setLive({ ...EMPTY });
    expect(notice().textContent).toContain("iw.text(model, prompt)");
    view.setData(buffer([]));
    view.setLive(LIVE);
    expect(all(".iw-x-sentence")[0].textContent).toBe("No feature fires on this prompt.");
    view.setData(new Uint8Array(20).fill(1));
    expect(notice().textContent).toContain("cut short");
  });

  it("says when there is no news for a while", () => {
    view.setLive({ ...LIVE, state: "computing", message: "running the prompt" });
    vi.advanceTimersByTime(25_000);
    expect(all(".iw-news")[0].textContent).toContain("No news from the kernel");
  });

  it("shows text from data as text", () => {
    const rows = [{ unit: [1, 3] as const, name: HOSTILE, cells: { 1: 1 } }];
    view.setData(buffer(rows, { tokens: ["<bos>", HOSTILE], prompt: HOSTILE }));
    view.setLive({ ...LIVE, scan: HOSTILE, problem: HOSTILE, told: HOSTILE, prompt: HOSTILE });
    press(row("L1/3"), "click");
    expectText(view.root);
    expect(readout(firingOf(rows), 0, 1)).toContain("<img");
  });

  it("keeps selected features that are silent on another prompt", () => {
    view.setChoice({ selected: [[1, 3]] });
    view.setData(buffer([ROWS[0]]));
    expect(all(".iw-x-picked")[0].textContent).toBe("1 selected (silent here)");
  });
});
