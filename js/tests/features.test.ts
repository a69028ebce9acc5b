/** The features browser in a page without a notebook. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Firings, Live, Opened, Page, Row } from "../features/state";
import { EMPTY, parseSpot } from "../features/state";
import { View } from "../features/view";
import {
  figureName,
  foundText,
  headline,
  relationText,
  rowFigure,
  stateSentence,
} from "../features/words";
import { CARD, exampleOf } from "./cards";
import { expectText, HOSTILE } from "./page";

const LIVE: Live = {
  ...EMPTY,
  state: "done",
  progress: 1,
  scan: "organism",
  model: "organism",
  layers: [
    { layer: 0, features: 1152 },
    { layer: 2, features: 1152 },
  ],
  tokens: 62_010,
  documents: 5000,
  indexed: true,
  labelled: 300,
};

const ROW: Row = {
  layer: 2,
  feature: 117,
  label: "texas",
  score: 0.94,
  density: 0.01,
  strongest: 3.2,
  example: exampleOf("people in fort worth like", 3, 3.2),
  why: "",
  value: null,
};

const QUERY = { text: "", mode: "label", sort: "match", layer: null, rows: 30 } as const;

function pageOf(rows: readonly Row[], more: Partial<Page> = {}): Page {
  const shown = { seq: Number.MAX_SAFE_INTEGER, state: "done", message: "" } as const;
  return { ...QUERY, ...shown, capped: false, total: rows.length, found: rows, ...more };
}

function opened(layer: number, feature: number, more: Partial<typeof CARD> = {}): Opened {
  const name = `L${layer}/${feature}`;
  const card = { ...CARD, name, layer, feature, ...more };
  return { seq: Number.MAX_SAFE_INTEGER, name, card, message: "" };
}

describe("the words of the browser", () => {
  it("say what is indexed and how far it is", () => {
    expect(headline(LIVE)).toBe(
      "2,304 features in 2 layers, 300 labelled · 62,010 tokens of 5,000 texts",
    );
    expect(headline({ ...LIVE, complete: false })).toContain("not read to the end");
    const part = {
      ...LIVE,
      state: "computing" as const,
      progress: 0.4,
      message: "1k of 9k tokens",
    };
    expect(headline(part)).toBe("40%, 1k of 9k tokens …");
    expect(stateSentence({ ...LIVE, state: "cancelled" })).toBe(
      "Cancelled. Run its cell again to go on.",
    );
    expect(stateSentence({ ...LIVE, indexed: false })).toContain("No text is indexed");
    expect(stateSentence(EMPTY)).toContain("iw.index");
  });

  it("say what was found, or where else to look", () => {
    expect(foundText(pageOf([ROW]), LIVE)).toBe("1 feature, best labels first");
    const texas = pageOf([ROW], { text: "texas" });
    expect(foundText(texas, LIVE)).toBe("1 feature named so");
    expect(foundText(pageOf([ROW], { text: "2/117" }), LIVE)).toBe("Enter opens it");
    const none = { text: "texas", layer: 2, total: 0 };
    expect(foundText(pageOf([], none), LIVE)).toContain("No feature of L2 is called “texas”");
    expect(foundText(pageOf([], { ...none, mode: "prompt" }), LIVE)).toContain("fires on");
    const failed = { state: "failed", message: "The text is too long" } as const;
    expect(foundText(pageOf([], failed), LIVE)).toBe("The text is too long.");
  });

  it("show on each row what the list is ordered by", () => {
    const figure = (row: Row, sort: Page["sort"], mode: Page["mode"] = "label") =>
      rowFigure(row, { sort, mode })[0];
    expect(figure(ROW, "match")).toBe("1.0%");
    expect(figure(ROW, "score")).toBe(".94");
    expect(figure({ ...ROW, by: "examples" }, "score")).toBe("examples .94");
    expect(figure(ROW, "strength")).toBe("3.20");
    expect(figure({ ...ROW, density: 0 }, "density")).toBe("silent");
    const found = { ...ROW, value: 2.5 };
    // On this text, of its strongest 3.2: what the list is ordered by.
    expect(figure(found, "match", "prompt")).toBe("78%");
    expect(figure({ ...found, strongest: null }, "match", "prompt")).toBe("2.50");
    expect(figure(found, "match", "promotes")).toBe("2.50");
    expect(figure({ ...ROW, value: 0.83 }, "match", "token")).toBe(".83");
    expect(figure(found, "density", "prompt")).toBe("1.0%");
  });

  it("say above the rows what their figures are", () => {
    const name = (more: Partial<Page>) => figureName(pageOf([ROW], more))[0];
    expect(name({})).toBe("active on");
    expect(name({ text: "texas" })).toBe("active on");
    expect(name({ sort: "strength" })).toBe("strongest");
    expect(name({ text: "texas", mode: "promotes" })).toBe("σ");
    expect(name({ text: "in texas", mode: "prompt" })).toBe("of its top");
    expect(name({ text: "in texas", mode: "prompt", sort: "density" })).toBe("active on");
  });

  it("say how close two features are, with what chance gives, from whichever lists the other", () => {
    const other = { ...CARD, name: "L3/40", layer: 3, feature: 40 };
    const near = "L2/117 and L3/40: cosine of decoders 0.62 (chance 0.20); ";
    expect(relationText(CARD, other)).toContain(near);
    expect(relationText(other, CARD)).toContain("cosine of decoders 0.62 (chance 0.20)");
    expect(relationText(CARD, other)).toContain("shared tokens not among each other’s closest.");
    const dallas = { ...CARD, name: "L2/8", feature: 8 };
    expect(relationText(CARD, dallas)).toContain("shared tokens 0.40 (chance 0.030).");
    expect(relationText(CARD, { ...other, similar: null })).toBe("");
  });

  it("read a place as people write it", () => {
    expect(parseSpot("L2/117")).toEqual({ layer: 2, feature: 117 });
    expect(parseSpot(" 2 / 117 ")).toEqual({ layer: 2, feature: 117 });
    for (const none of ["texas", "2", "2/", "-2/1", "2/1/3"]) expect(parseSpot(none)).toBeNull();
  });
});

describe("the browser", () => {
  let view: View;
  let ask: ReturnType<typeof vi.fn>;

  beforeEach(() => {
    vi.useFakeTimers();
    document.body.replaceChildren();
    ask = vi.fn(() => true);
    view = new View(document.body, { ask } as never);
    view.setLive(LIVE);
  });

  afterEach(() => {
    view.destroy();
    vi.useRealTimers();
  });

  const shown = (selector: string) =>
    [...view.root.querySelectorAll<HTMLElement>(selector)].filter((el) => !el.closest("[hidden]"));
  const named = (text: string) =>
    shown("button").find((el) => el.textContent === text) as HTMLButtonElement | undefined;
  const field = () => view.root.querySelector(".iw-f-field") as HTMLInputElement;
  const select = (name: string) =>
    view.root.querySelector(`select[aria-label="${name}"]`) as HTMLSelectElement;
  const rows = () => shown(".iw-f-row").map((el) => el.dataset.row);
  const last = () => ask.mock.lastCall?.[0];
  const press = (el: HTMLElement, key: string, more: object = {}) =>
    el.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
  /** What Python would answer to the last ask. */
  const answer = (page: Page) => view.setPage({ ...page, seq: last().seq });
  const answerCard = (card: Opened) => view.setCard({ ...card, seq: last().seq });
  const choose = (name: string, value: string) => {
    select(name).value = value;
    select(name).dispatchEvent(new Event("change"));
  };

  it("asks for its list once, and shows a row for each feature", () => {
    view.begin();
    view.begin();
    expect(ask).toHaveBeenCalledTimes(1);
    expect(last()).toMatchObject({ type: "search", ...QUERY });
    answer(pageOf([ROW, { ...ROW, feature: 118, label: null, density: 0 }], { total: 2304 }));
    expect(rows()).toEqual(["L2/117", "L2/118"]);
    expect(shown(".iw-f-name").map((el) => el.textContent)).toEqual(["texas", "“worth”"]);
    expect(shown(".iw-f-row")[0].querySelector("mark")?.textContent).toBe("worth");
    expect(shown(".iw-f-row")[0].getAttribute("aria-label")).toBe(
      "texas, L2/117, active on 1.0% of tokens: people in fort worth like",
    );
    const [first] = shown(".iw-f-row");
    named("+2,302 more")?.focus();
    named("+2,302 more")?.click();
    expect(last()).toMatchObject({ type: "search", rows: 32 });
    const more = [ROW, { ...ROW, feature: 118, label: null, density: 0 }, { ...ROW, feature: 119 }];
    answer(pageOf(more, { total: 2304 }));
    expect(rows()).toEqual(["L2/117", "L2/118", "L2/119"]);
    expect(shown(".iw-f-row")[0]).toBe(first); // only what is new is drawn
    expect(document.activeElement).toBe(shown(".iw-f-row")[2]); // keys go on from there
  });

  it("searches after a pause, in a mode, an order and a layer", () => {
    field().value = "texas";
    field().dispatchEvent(new Event("input"));
    vi.advanceTimersByTime(200);
    expect(ask).not.toHaveBeenCalled();
    vi.advanceTimersByTime(100);
    expect(last()).toMatchObject({ type: "search", text: "texas", mode: "label" });
    choose("Search by", "promotes");
    expect(last()).toMatchObject({ text: "texas", mode: "promotes" });
    expect(field().placeholder).toBe("a token to promote");
    choose("Layer", "2");
    choose("Order", "density");
    expect(last()).toMatchObject({ layer: 2, sort: "density" });
  });

  it("shows the answer to the last question only", () => {
    view.begin();
    const first = last().seq;
    choose("Layer", "2");
    view.setPage({ ...pageOf([{ ...ROW, layer: 0 }]), seq: first });
    expect(rows()).toEqual([]);
    expect(view.root.dataset.iwList).toBe("asked");
    answer(pageOf([ROW]));
    expect(rows()).toEqual(["L2/117"]);
    expect(view.root.dataset.iwList).toBe("done");
  });

  it("empties the field with Escape, and lists all again", () => {
    field().value = "texas";
    press(field(), "Enter");
    press(field(), "Escape");
    expect(field().value).toBe("");
    expect(last()).toMatchObject({ type: "search", text: "" });
  });

  it("leaves rows that stay in their places untouched, with their focus", () => {
    view.begin();
    answer(pageOf([ROW, { ...ROW, feature: 118 }]));
    const rowsBefore = shown(".iw-f-row");
    rowsBefore[1].focus();
    choose("Order", "density");
    answer(pageOf([ROW, { ...ROW, feature: 118 }, { ...ROW, feature: 119 }]));
    expect(document.activeElement).toBe(rowsBefore[1]);
    expect(shown(".iw-f-row").map((el) => el.tabIndex)).toEqual([0, -1, -1]);
  });

  it("opens a typed number at once", () => {
    field().value = "2/117";
    press(field(), "Enter");
    expect(last()).toMatchObject({ type: "open", layer: 2, feature: 117 });
    expect(view.root.textContent).toContain("Opening L2/117 …");
    answerCard(opened(2, 117));
    expect(shown(".iw-c-title")[0].textContent).toBe("texas");
    expect(view.root.dataset.iwOpened).toBe("L2/117");
  });

  it("says why a card cannot be shown", () => {
    field().value = "2/99999";
    press(field(), "Enter");
    const message = "Layer 2 has 1,152 features: there is no 99999.";
    view.setCard({ seq: last().seq, name: "L2/99999", card: null, message });
    expect(view.root.textContent).toContain(message);
  });

  it("walks the list by keyboard; one row takes part in tabbing", () => {
    view.begin();
    answer(pageOf([ROW, { ...ROW, feature: 118 }, { ...ROW, feature: 119 }]));
    expect(shown(".iw-f-row").map((el) => el.tabIndex)).toEqual([0, -1, -1]);
    press(field(), "ArrowDown");
    const active = () => (document.activeElement as HTMLElement).dataset.row;
    expect(active()).toBe("L2/117");
    press(document.activeElement as HTMLElement, "ArrowDown");
    press(document.activeElement as HTMLElement, "End");
    expect(active()).toBe("L2/119");
    press(document.activeElement as HTMLElement, "ArrowUp");
    (document.activeElement as HTMLElement).click();
    expect(last()).toMatchObject({ type: "open", feature: 118 });
    expect(shown("[aria-current=true]").map((el) => el.dataset.row)).toEqual(["L2/118"]);
  });

  it("goes back and forward through what was opened, showing at once what is known", () => {
    view.begin();
    answer(pageOf([ROW, { ...ROW, feature: 118 }]));
    const [first, second] = shown(".iw-f-row");
    first.click();
    answerCard(opened(2, 117));
    second.click();
    answerCard(opened(2, 118, { label: null }));
    expect(named("back")?.disabled).toBe(false);
    named("back")?.click();
    expect(last()).toMatchObject({ type: "open", feature: 117 });
    expect(shown(".iw-c-title")[0].textContent).toBe("texas"); // before any answer
    press(view.root, "ArrowRight", { altKey: true });
    expect(last()).toMatchObject({ type: "open", feature: 118 });
    expect(named("forward")?.disabled).toBe(true);
  });

  it("keeps a label that is being typed for the feature it was typed for", () => {
    view.setCard(opened(2, 117));
    view.setCard(opened(0, 5));
    shown(".iw-c-title")[0].click();
    const input = view.root.querySelector(".iw-c-titleinput") as HTMLInputElement;
    input.value = "lone star";
    press(input, "ArrowLeft", { altKey: true }); // to the word before, in a field
    expect(view.root.dataset.iwOpened).toBe("L0/5");
    view.setCard(opened(2, 117)); // Python opens another one
    expect(last()).toMatchObject({ type: "label", layer: 0, feature: 5, text: "lone star" });
    expect(view.root.dataset.iwOpened).toBe("L2/117");
  });

  it("keeps what is known of a card while its weights are read again", () => {
    view.setCard(opened(2, 117));
    view.setCard(opened(2, 117, { logits: null, pending: true }));
    expect(view.root.querySelectorAll("[aria-label=raises] li").length).toBe(2);
  });

  it("opens what Python opens", () => {
    view.setCard(opened(2, 117));
    view.setCard(opened(0, 5));
    expect(view.root.dataset.iwOpened).toBe("L0/5");
    expect(named("back")?.disabled).toBe(false);
  });

  it("compares two features on one test text", () => {
    view.setCard(opened(2, 117));
    named("compare")?.click();
    expect(view.root.textContent).toContain("Open another feature to see it beside L2/117.");
    view.setPage(pageOf([ROW, { ...ROW, layer: 0, feature: 5 }]));
    shown(".iw-f-row")[1].click();
    expect(last()).toMatchObject({ type: "compare", layer: 0, feature: 5 });
    view.setOther({ ...opened(0, 5), seq: last().seq });
    expect(shown(".iw-card").length).toBe(2);
    expect(view.root.dataset.iwBeside).toBe("L0/5");
    expect(shown(".iw-f-relation")[0].textContent).toContain("L2/117 and L0/5:");
    expect(shown(".iw-f-side").length).toBe(0); // two cards want its room; “list” brings it back
    named("list")?.click();
    expect(shown(".iw-f-side").length).toBe(1);

    const fields = shown("textarea") as HTMLTextAreaElement[];
    fields[1].value = "in dallas";
    press(fields[1], "Enter");
    expect(last()).toMatchObject({ type: "test", text: "in dallas" });
    expect(fields[0].value).toBe("in dallas");
    const of = { "L2/117": [0, 1.6], "L0/5": [0.5, 0] };
    const firings: Firings = {
      seq: last().seq,
      text: "in dallas",
      state: "done",
      message: "",
      tokens: ["in", " dallas"],
      of,
    };
    view.setFirings(firings);
    expect(shown(".iw-c-fired mark").map((el) => el.textContent)).toEqual(["dallas", "in"]);

    named("close")?.click();
    expect(last()).toMatchObject({ type: "compare", layer: null, feature: null });
    expect(shown(".iw-card").length).toBe(1);
    expect(shown(".iw-f-side").length).toBe(1);
    expect(shown(".iw-f-relation").length).toBe(0);
  });

  it("keeps the test text from one feature to the next", () => {
    view.setCard(opened(2, 117));
    view.setFirings({
      seq: Number.MAX_SAFE_INTEGER,
      text: "in dallas",
      state: "done",
      message: "",
      tokens: ["in", " dallas"],
      of: { "L2/117": [0, 1.6], "L0/5": [1, 0] },
    });
    expect((shown("textarea")[0] as HTMLTextAreaElement).value).toBe("in dallas");
    view.setCard(opened(0, 5));
    expect(shown(".iw-c-fired mark").map((el) => el.textContent)).toEqual(["in"]);
  });

  it("lists what else raises a word that the open feature raises, also beside a card alone", () => {
    view.setLive({ ...LIVE, mode: "one" });
    view.setCard(opened(2, 117));
    expect(shown(".iw-f-side").length).toBe(0);
    const raised = shown("[aria-label=raises] button");
    expect(raised.length).toBe(1); // a blank is no word that could be typed
    raised[0].click();
    expect(last()).toMatchObject({
      type: "search",
      mode: "promotes",
      text: "austin",
      sort: "match",
    });
    expect(shown(".iw-f-side").length).toBe(1);
    expect(field().value).toBe("austin");
    expect(document.activeElement).toBe(field());
  });

  it("passes on labels, suggestions, steering and undo for the open feature", () => {
    view.setCard(opened(2, 117));
    shown(".iw-c-title")[0].click();
    const input = view.root.querySelector(".iw-c-titleinput") as HTMLInputElement;
    input.value = "lone star";
    press(input, "Enter");
    const spot = { layer: 2, feature: 117 };
    expect(last()).toMatchObject({ type: "label", text: "lone star", ...spot });
    named("suggest")?.click();
    expect(last()).toMatchObject({ type: "propose", ...spot });
    const proposal = { text: "“texas”", rule: "token", score: 0.9, low: null, high: null };
    const proposals = [{ ...proposal, control: 0.5, samples: 80 }];
    view.setProposals({ name: "L0/5", state: "done", message: "", proposals });
    expect(shown(".iw-c-suggestion").length).toBe(0); // those of another feature
    view.setProposals({ name: "L2/117", state: "done", message: "", proposals });
    shown(".iw-c-suggestion")[0].click();
    expect(last()).toMatchObject({ type: "accept", at: 0, ...spot });
    named("steer")?.click();
    expect(last()).toMatchObject({ type: "steer", ...spot });
    view.setTold({ seq: 1, text: "Steer with it:", code: "iw.steer(model, text)" });
    expect(view.root.querySelector("code")?.textContent).toBe("iw.steer(model, text)");
    named("dismiss")?.click();
    expect(shown("code").length).toBe(0);
  });

  it("shows how far an index is, and cancels it", () => {
    view.setLive({
      ...LIVE,
      state: "computing",
      progress: 0.4,
      message: "reading",
      indexed: false,
    });
    expect(view.root.querySelector("[role=progressbar]")?.getAttribute("aria-valuenow")).toBe("40");
    expect(view.root.textContent).toContain("The texts are being read");
    named("Cancel")?.click();
    expect(last()).toMatchObject({ type: "cancel" });
    view.setLive({ ...LIVE, state: "cancelled", message: "Cancelled", complete: false });
    expect(named("Cancel")).toBeUndefined();
    expect(view.root.textContent).toContain("Run its cell again to go on.");
    view.setLive({ ...LIVE, state: "failed", message: "No space left", indexed: false });
    expect(view.root.textContent).toContain("No space left.");
  });

  it("is the card alone for one feature", () => {
    view.setLive({ ...LIVE, mode: "one" });
    view.begin();
    expect(ask).not.toHaveBeenCalled();
    expect(shown(".iw-f-side").length).toBe(0);
    expect(named("list")).toBeUndefined();
    view.setCard(opened(2, 117));
    named("compare")?.click(); // to find the other one, there is a list
    expect(last()).toMatchObject({ type: "search" });
    expect(shown(".iw-f-side").length).toBe(1);
    expect(named("list")).toBeDefined();
    named("close")?.click();
    expect(shown(".iw-f-side").length).toBe(0);
  });

  it("says when there is no kernel, and keeps what is on screen", () => {
    view.setCard(opened(2, 117));
    view.setOffline(true);
    expect(view.root.textContent).toContain("No kernel behind this view");
    expect(shown(".iw-c-title")[0].textContent).toBe("texas");
    expect((shown("textarea")[0] as HTMLTextAreaElement).disabled).toBe(true);
    ask.mockReturnValue(false);
    field().value = "0/5";
    press(field(), "Enter");
    expect(view.root.textContent).toContain("There is no kernel to ask about this one.");
    named("back")?.click();
    expect(shown(".iw-c-title")[0].textContent).toBe("texas");
    view.setOffline(false);
    expect(view.root.textContent).not.toContain("No kernel");
  });

  it("says when the kernel is slow to answer, until it has", () => {
    field().value = "2/117";
    press(field(), "Enter");
    expect(view.root.textContent).not.toContain("The kernel is busy");
    vi.advanceTimersByTime(3000);
    expect(view.root.textContent).toContain("Opening L2/117 … The kernel is busy");
    answerCard(opened(2, 117));
    expect(view.root.textContent).not.toContain("The kernel is busy");
  });

  it("says what everything means, in help and legend", () => {
    shown("[aria-label=Help]")[0].click();
    expect(view.root.querySelector("[role=dialog]")?.textContent).toContain("Fires on text");
    named("close")?.click();
    expect(view.root.querySelector("footer")?.textContent).toBe(
      "activationtriggerbelow zeroraiseslowerscontrolthis feature",
    );
  });

  it("keeps bare keys from JupyterLab, and leaves it those with Ctrl", () => {
    const heard: string[] = [];
    const listen = (event: KeyboardEvent) => heard.push(event.key);
    document.body.addEventListener("keydown", listen);
    press(field(), "j");
    press(field(), "s", { ctrlKey: true });
    document.body.removeEventListener("keydown", listen);
    expect(heard).toEqual(["s"]);
  });

  it("takes texts from models, corpora and users for text", () => {
    const live = { ...LIVE, scan: HOSTILE, model: HOSTILE, unit: HOSTILE, problem: HOSTILE };
    view.setLive(live);
    const row = { ...ROW, label: HOSTILE, why: HOSTILE, example: exampleOf(HOSTILE, 0, 1) };
    view.setPage(pageOf([row, { ...row, label: null }], { text: HOSTILE, message: HOSTILE }));
    view.setCard({ ...opened(2, 117, { name: HOSTILE }), message: HOSTILE });
    view.setTold({ seq: 1, text: HOSTILE, code: HOSTILE });
    view.setLive({ ...live, state: "failed", message: HOSTILE });
    expectText(view.root);
  });
});
