/** The card of a feature in a page without a notebook. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { histogram } from "../feature/bars";
import { FeatureCard } from "../feature/card";
import { mountCards, mountPage } from "../feature/standalone";
import type { Card, CardPort } from "../feature/state";
import { peakOf } from "../feature/test-text";
import { below, effectText, factsText, scoreHelp, scoreText } from "../feature/words";
import { kwicLine } from "../shared/example";
import { CARD, exampleOf } from "./cards";
import { expectText, HOSTILE } from "./page";

type Port = { [K in keyof Omit<Required<CardPort>, "elsewhere">]: ReturnType<typeof vi.fn> };

function portOf(): Port {
  return {
    test: vi.fn(),
    label: vi.fn(),
    undo: vi.fn(),
    propose: vi.fn(),
    accept: vi.fn(),
    open: vi.fn(),
    find: vi.fn(),
    opens: vi.fn(() => true),
    steer: vi.fn(),
    compare: vi.fn(),
    close: vi.fn(),
  };
}

describe("the words of a card", () => {
  it("put a control and a range beside a score", () => {
    expect(scoreText(CARD.label as NonNullable<Card["label"]>)).toBe(
      "separates .94 [.90, .97]; random labels .51 on 240 samples",
    );
    const none = { score: null, low: null, high: null, control: null, samples: 0 };
    expect(scoreText(none)).toBe("not tested");
    expect(scoreText({ ...none, testing: true })).toContain("testing");
  });

  it("say of words that are no rule that their examples were tested, and on how few", () => {
    const score = { score: 0.925, low: 0.77, high: 1, control: 0.6, samples: 4007, active: 7 };
    expect(scoreText({ ...score, by: "examples" })).toBe(
      "its examples separate .93 [.77, 1.0]; those of random features .60 on 7 active and 4,000 other tokens",
    );
  });

  it("say on which text a score was measured, or why there is none", () => {
    const label = CARD.label as NonNullable<Card["label"]>;
    expect(scoreHelp(label)).not.toContain("Tested on");
    const said = scoreHelp({ ...label, tested_on: "8,532 tokens of 680 texts" });
    expect(said).toContain("Tested on 8,532 tokens of 680 texts.");
    expect(scoreHelp({ ...label, score: null, why: "too few." })).toBe("Not tested: too few.");
  });

  it("say how often it is active and on how many tokens that rests", () => {
    expect(factsText(CARD)).toBe("active on 1.0% of 62,010 tokens (620 times) · strongest 3.20");
    const part = { ...CARD, complete: false };
    expect(factsText(part)).toContain("62,010 tokens indexed so far");
  });

  it("rank a value among the counts of a histogram", () => {
    // 10 below −3, 20 up to −2, and half of the 60 whose bin holds −1.5.
    expect(below([-4, -3, -2, -1, 0], [10, 20, 60, 10], -1.5)).toBeCloseTo(0.6);
    expect(below([0, 1], [0], 0.5)).toBeNull();
  });

  it("name the largest shares of an effect and sum the rest", () => {
    const six = ["output", "L1", "L2", "L3", "L4", "L5"].map((to, at) => ({
      to,
      share: at === 0 ? 0.5 : 0.1,
    }));
    expect(effectText(six)).toBe(
      "50% to the output, 10% to L1, 10% to L2, 10% to L3, 20% to 2 other places",
    );
  });

  it("find the strongest token whatever its sign", () => {
    expect(peakOf([0, -2, 1])).toBe(1);
    expect(peakOf([0, 0])).toBe(-1);
  });
});

describe("a histogram", () => {
  const parts = (counts: number[], mark: number | null, edges = [0, 1, 2]) =>
    histogram({
      edges,
      counts,
      mark,
      markName: "here",
      tick: String,
      bar: (from, to, n) => `${from} to ${to}: ${n}`,
      className: "",
      name: "Bins.",
      says: "two bins",
    });
  const bars = (counts: number[], mark: number | null) => parts(counts, mark)[0];
  const press = (el: HTMLElement, key: string) =>
    el.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

  it("has bars as high as the square root of what they count", () => {
    const path = bars([4, 1], null).querySelector(".iw-c-bars")?.getAttribute("d") ?? "";
    const tops = [...path.matchAll(/V([\d.]+)H/g)].map((found) => 34 - Number(found[1]));
    expect(tops[0] / tops[1]).toBeCloseTo(2, 1);
  });

  it("leaves empty bins empty and marks where one stands", () => {
    const el = bars([0, 3], 1.5);
    expect(el.querySelector(".iw-c-bars")?.getAttribute("d")?.match(/z/g)?.length).toBe(1);
    expect((el.querySelector(".iw-c-marker") as HTMLElement).style.left).toBe("75%");
    expect(bars([1, 1], null).querySelector(".iw-c-marker")).toBeNull();
    expect(el.querySelector("svg")?.getAttribute("aria-label")).toBe("Bins. two bins");
  });

  it("says what a bar counts, under the pointer and by the arrow keys", () => {
    const [chart, caption] = parts([3, 5], 1.5);
    expect(caption.textContent).toBe("two bins");
    press(chart, "ArrowRight"); // where the mark stands
    expect(caption.textContent).toBe("1 to 2: 5");
    press(chart, "ArrowLeft");
    expect(caption.textContent).toBe("0 to 1: 3");
    press(chart, "End");
    expect(caption.textContent).toBe("1 to 2: 5");
    chart.dispatchEvent(new Event("blur"));
    expect(caption.textContent).toBe("two bins");
    const picture = chart.querySelector("svg") as SVGElement;
    picture.getBoundingClientRect = () => ({ left: 100, width: 50 }) as DOMRect;
    chart.dispatchEvent(new MouseEvent("pointermove", { clientX: 110 }));
    expect(caption.textContent).toBe("0 to 1: 3");
    chart.dispatchEvent(new Event("pointerleave"));
    expect(caption.textContent).toBe("two bins");
  });

  it("shows where zero is if it has two sides", () => {
    const ticks = (edges: number[]) =>
      [...parts([1, 1], null, edges)[0].querySelectorAll(".iw-c-ticks span")].map(
        (el) => el.textContent,
      );
    expect(ticks([-3, -1, 1])).toEqual(["-3", "0", "1"]);
    expect(ticks([-30, -1, 1])).toEqual(["-30", "1"]); // no room for it
    expect(ticks([0, 1, 4])).toEqual(["0", "2", "4"]);
  });
});

describe("a line of context", () => {
  it("keeps the trigger in the middle and the words in reading order", () => {
    const line = kwicLine(exampleOf("people in fort worth like stars", 3, 2), 2);
    expect(line.textContent).toBe("people in fort worth like stars");
    const part = (name: string) => line.querySelector(`.iw-kwic${name}`)?.textContent;
    expect([part("before"), part("trigger"), part("after")]).toEqual([
      "people in fort",
      " worth",
      " like stars",
    ]);
  });

  it("makes elements of shaded tokens only", () => {
    const example = { tokens: ["a", " b", " c", " d"], activations: [0, 1, 0, 2], trigger: 3 };
    const before = kwicLine(example, 2).querySelector(".iw-kwicbefore > span");
    expect([...(before?.childNodes ?? [])].map((node) => node.nodeName)).toEqual([
      "#text",
      "MARK",
      "#text",
    ]);
  });

  it("draws no more than can be seen", () => {
    const words = Array.from({ length: 61 }, (_, at) => `w${at}`).join(" ");
    const line = kwicLine(exampleOf(words, 30, 2), 2, 16);
    expect(line.textContent).toBe(" w26 w27 w28 w29 w30 w31 w32 w33 w34");
  });

  it("shades below zero in another way", () => {
    const line = kwicLine(exampleOf("a b", 1, -2), 2);
    expect(line.querySelector("mark")?.classList.contains("iw-negative")).toBe(true);
    expect(line.querySelector("mark")?.title).toBe("activation −2.00");
  });
});

describe("the card", () => {
  let port: Port;
  let card: FeatureCard;
  let abort: AbortController;

  beforeEach(() => {
    vi.useFakeTimers();
    port = portOf();
    abort = new AbortController();
    card = new FeatureCard(port as unknown as CardPort, abort.signal);
    document.body.replaceChildren(card.el);
    card.set(CARD);
  });

  afterEach(() => {
    abort.abort();
    vi.useRealTimers();
  });

  const shown = (selector: string) =>
    [...card.el.querySelectorAll<HTMLElement>(selector)].filter((el) => !el.closest("[hidden]"));
  const named = (text: string) =>
    shown("button").find((el) => el.textContent === text) as HTMLButtonElement | undefined;
  const title = () => shown(".iw-c-title")[0];
  const field = () => card.el.querySelector(".iw-c-titleinput") as HTMLInputElement;
  const test = () => card.el.querySelector("textarea") as HTMLTextAreaElement;
  const press = (el: HTMLElement, key: string) =>
    el.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

  it("names the feature, by whom, and how well that holds", () => {
    expect(title().textContent).toBe("texas");
    expect(card.el.querySelector(".iw-c-code")?.textContent).toBe("L2/117");
    expect(card.el.querySelector(".iw-c-chip")?.textContent).toBe("proposed");
    expect(card.el.textContent).toContain("separates .94 [.90, .97]; random labels .51");
  });

  it("shows its strongest token where it has no label", () => {
    card.set({ ...CARD, name: "L2/118", label: null });
    expect(title().textContent).toBe("“worth”");
    expect(card.el.textContent).toContain("no label yet");
    card.set({ ...CARD, name: "L2/119", label: null, examples: [] });
    expect(title().textContent).toBe("L2/119");
  });

  it("has headings that explain themselves", () => {
    const headings = shown("h4");
    expect(headings.map((el) => el.firstChild?.textContent)).toEqual([
      "fires on",
      "by strength",
      "how often",
      "how strongly",
      "writes to the output",
      "where its effect goes",
      "points the same way",
      "fires together with",
      "reads from",
      "is read by",
    ]);
    expect(headings.every((el) => el.title.length > 20)).toBe(true);
  });

  it("says what is still being computed, and leaves out what there is not", () => {
    const bare = {
      ...CARD,
      logits: null,
      similar: null,
      upstream: null,
      downstream: null,
      effect: null,
    };
    card.set({ ...bare, pending: true });
    expect(shown("[aria-busy=true]").length).toBe(6);
    card.set(bare);
    expect(shown("[aria-busy=true]").length).toBe(0);
    expect(shown("h4").length).toBe(4);
    expect(card.el.textContent).toContain("Virtual weights are the direct path");
  });

  it("keeps what is open and focused when the rest arrives", () => {
    card.set({ ...CARD, logits: null, pending: true });
    const [group] = shown("details") as HTMLDetailsElement[];
    group.open = true;
    group.dispatchEvent(new Event("toggle"));
    const [example] = shown(".iw-c-example");
    example.focus();
    card.set(CARD);
    expect(document.activeElement).toBe(example);
    expect((shown("details") as HTMLDetailsElement[])[0].open).toBe(true);
    expect(shown(".iw-c-group .iw-c-example").length).toBe(1);
  });

  it("shows eight examples first and all of them on demand", () => {
    const list = () => card.el.querySelectorAll(".iw-c-texts > section:nth-of-type(1) li").length;
    expect(list()).toBe(8);
    named("+4 more")?.click();
    expect(list()).toBe(12);
  });

  it("shows what lies below zero for units with two sides", () => {
    const negative = Array.from({ length: 7 }, (_, at) => exampleOf("a cold day", 1, at - 9));
    card.set({ ...CARD, negative });
    const list = () => shown("section[aria-label='below zero on'] li").length;
    expect(list()).toBe(4);
    named("+3 more")?.click();
    expect(list()).toBe(7);
    expect(shown("h4").map((el) => el.textContent)).toContain("below zero on strongest first");
  });

  it("sends a test text after a pause, and at once with Enter", () => {
    test().value = "in dallas";
    test().dispatchEvent(new Event("input"));
    vi.advanceTimersByTime(200);
    expect(port.test).not.toHaveBeenCalled();
    test().value = "in dallas,";
    test().dispatchEvent(new Event("input"));
    vi.advanceTimersByTime(260);
    expect(port.test).toHaveBeenCalledExactlyOnceWith("in dallas,");
    test().value = "in texas";
    press(test(), "Enter");
    expect(port.test).toHaveBeenLastCalledWith("in texas");
    vi.advanceTimersByTime(1000);
    expect(port.test).toHaveBeenCalledTimes(2);
  });

  it("shades each token by its activation and says the peak", () => {
    const tokens = ["in", " dallas", "\n", " ,"];
    card.setFiring({ state: "done", tokens, activations: [0, 1.6, 0, 3.2] });
    const marks = shown(".iw-c-fired mark");
    expect(marks.map((el) => el.textContent)).toEqual(["dallas", ","]);
    // On the scale of the examples, whose strongest is 3.2.
    expect(marks.map((el) => el.style.getPropertyValue("--iw-alpha"))).toEqual(["0.35", "0.60"]);
    expect(card.el.querySelector(".iw-c-fired")?.textContent).toContain("⏎");
    expect(card.el.textContent).toContain("peak 3.20 at “,” · strongest in the index 3.20");
  });

  it("says each token's number, by pointer and by keyboard", () => {
    card.setFiring({ state: "done", tokens: ["in", " dallas"], activations: [0, 1.6] });
    const tokens = shown(".iw-c-token");
    expect(tokens.map((el) => el.tabIndex)).toEqual([-1, 0]);
    tokens[1].focus();
    expect(card.el.textContent).toContain("“dallas” 1.60");
    press(tokens[1], "ArrowLeft");
    expect(document.activeElement).toBe(tokens[0]);
    expect(card.el.textContent).toContain("“in” 0");
    tokens[1].dispatchEvent(new Event("pointerover", { bubbles: true }));
    expect(card.el.textContent).toContain("“dallas” 1.60");
  });

  it("says that nothing fires, that it runs, and what went wrong", () => {
    card.setFiring({ state: "done", tokens: ["in"], activations: [0] });
    expect(card.el.textContent).toContain("It does not fire on this text.");
    card.setFiring({ state: "computing", tokens: [], activations: [] });
    expect(card.el.textContent).toContain("running …");
    expect(shown(".iw-c-token").length).toBe(1); // what was there stays until then
    card.setFiring({ state: "failed", tokens: [], activations: [], message: "Too long." });
    expect(card.el.textContent).toContain("Too long.");
    expect(shown(".iw-c-token").length).toBe(0); // nobody takes them for those of this text
  });

  it("copies an example into the test text and tries it", () => {
    shown(".iw-c-example")[0].click();
    expect(test().value).toBe("people in fort worth like the lone star");
    expect(port.test).toHaveBeenCalledExactlyOnceWith("people in fort worth like the lone star");
  });

  it("takes a label by click: Enter keeps, Escape forgets, leaving keeps", () => {
    title().click();
    expect(document.activeElement).toBe(field());
    field().value = "lone star";
    press(field(), "Escape");
    expect(port.label).not.toHaveBeenCalled();
    expect(title().textContent).toBe("texas");
    press(title(), "F2");
    field().value = "  lone star ";
    press(field(), "Enter");
    expect(port.label).toHaveBeenCalledExactlyOnceWith("lone star");
    title().click();
    field().value = "";
    field().dispatchEvent(new Event("blur"));
    expect(port.label).toHaveBeenLastCalledWith("");
  });

  it("does not lose what is typed when news arrive, and sends no label that is the same", () => {
    title().click();
    field().value = "half a";
    card.set({ ...CARD, pending: true });
    expect(field().value).toBe("half a");
    expect(field().hidden).toBe(false);
    field().value = "texas";
    press(field(), "Enter");
    expect(port.label).not.toHaveBeenCalled();
  });

  it("offers undo once a label has changed", () => {
    expect(named("undo")).toBeUndefined();
    const label = { ...(CARD.label as NonNullable<Card["label"]>), text: "lone star" };
    card.set({ ...CARD, label });
    named("undo")?.click();
    expect(port.undo).toHaveBeenCalledTimes(1);
    card.setUndoable(false); // nothing is left to take back
    expect(named("undo")).toBeUndefined();
    card.setUndoable(true);
    card.set({ ...CARD, name: "L2/118" });
    expect(named("undo")).toBeUndefined();
  });

  it("lists suggestions with their scores; a click takes one", () => {
    named("suggest")?.click();
    expect(port.propose).toHaveBeenCalledTimes(1);
    card.setProposals({ state: "computing", message: "", proposals: [] });
    expect(named("suggest")?.disabled).toBe(true);
    const proposal = { text: "“texas”", rule: "token", score: 0.91, low: 0.85, high: 0.95 };
    card.setProposals({
      state: "done",
      message: "",
      proposals: [{ ...proposal, control: 0.5, samples: 80 }],
    });
    const [first] = shown(".iw-c-suggestion");
    expect([...first.children].map((el) => el.textContent)).toEqual([
      "“texas”",
      ".91 [.85, .95]",
      ".50",
    ]);
    expect(first.getAttribute("aria-label")).toContain(
      "separates .91 [.85, .95]; random labels .50 on 80 samples",
    );
    expect(shown(".iw-c-suggestions")[0].textContent).toContain("on 80 samples");
    first.click();
    expect(port.accept).toHaveBeenCalledExactlyOnceWith(0);
    card.setProposals({ state: "done", message: "", proposals: [] });
    expect(card.el.textContent).toContain("No label suggests itself");
  });

  it("puts suggestions away with Escape, until they are asked for again", () => {
    const score = { score: 0.9, low: null, high: null, control: 0.5, samples: 80 };
    const proposals = [{ text: "a rule", rule: "token", ...score }];
    card.setProposals({ state: "done", message: "", proposals });
    press(shown(".iw-c-suggestion")[0], "Escape");
    expect(document.activeElement).toBe(named("suggest"));
    card.setProposals({ state: "done", message: "", proposals }); // the same, from another message
    expect(shown(".iw-c-suggestion").length).toBe(0);
    card.setProposals({ state: "computing", message: "", proposals: [] });
    card.setProposals({ state: "done", message: "", proposals });
    expect(shown(".iw-c-suggestion").length).toBe(1);
  });

  it("forgets suggestions and what was unfolded when another feature comes, however late", () => {
    const score = { score: 0.9, low: null, high: null, control: 0.5, samples: 80 };
    const proposals = [{ text: "a rule", rule: "token", ...score }];
    card.setProposals({ state: "done", message: "", proposals });
    named("+4 more")?.click();
    card.set(null, "Opening L2/118 …");
    card.set({ ...CARD, name: "L2/118" });
    expect(shown(".iw-c-suggestion").length).toBe(0);
    expect(named("+4 more")).toBeDefined();
  });

  it("steps back while another one is on its way, and says so where that lasts", () => {
    card.leave("Opening L2/118 …");
    expect(title().textContent).toBe("texas");
    expect(title().closest("[inert]")).not.toBeNull();
    expect(test().closest("[inert]")).toBeNull();
    expect(card.el.dataset.iwPending).toBe("true");
    card.set({ ...CARD, name: "L2/118", label: null });
    expect(title().closest("[inert]")).toBeNull();
    vi.advanceTimersByTime(1000);
    expect(title().textContent).toBe("“worth”");
    card.leave("Opening L2/119 …");
    vi.advanceTimersByTime(1000);
    expect(card.el.textContent).toContain("Opening L2/119 …");
    expect(shown("h4").length).toBe(0);
  });

  it("says so where a feature fires nowhere, and has no chart and no suggestion for it", () => {
    const never = {
      ...CARD,
      label: null,
      examples: [],
      groups: [],
      density: { ...(CARD.density as NonNullable<Card["density"]>), value: 0, count: 0 },
      activations: { edges: [0, 1], counts: [0], max: 0, here: null, percentile: null },
    };
    card.set(never);
    expect(shown("section[aria-label='fires on']")[0].textContent).toContain(
      "It fires on none of the 62,010 tokens that are indexed. Type a text",
    );
    expect(shown("section[aria-label='how strongly']").length).toBe(0);
    expect(named("suggest")?.disabled).toBe(true);
  });

  it("gives the strongest activation of a unit with two sides its sign", () => {
    const activations = { ...(CARD.activations as NonNullable<Card["activations"]>), here: null };
    card.set({ ...CARD, activations: { ...activations, edges: [-3.2, -1, 0, 1, 2] } });
    expect(card.el.textContent).toContain("strongest −3.20");
    expect(card.el.textContent).not.toContain("strongest 3.20");
  });

  it("opens a neighbour, and draws the line that chance reaches", () => {
    shown("[data-open='3/40']")[0].click();
    expect(port.open).toHaveBeenCalledExactlyOnceWith(3, 40);
    const line = card.el.querySelector("section[aria-label='points the same way'] .iw-c-control");
    expect((line as HTMLElement).style.getPropertyValue("--iw-at")).toBe("0.323"); // 0.2 of 0.62
    expect(card.el.textContent).toContain("closest to random directions: 0.20 [0.18, 0.24]");
    expect(shown("section[aria-label='is read by'] li").length).toBe(5);
    named("+3 more")?.click();
    expect(shown("section[aria-label='is read by'] li").length).toBe(8);
  });

  it("offers to look for whole words, however a vocabulary tells them from pieces", () => {
    const offered = (...tokens: string[]) => {
      const positive = tokens.map((token) => ({ token, value: 1 }));
      const logits = { positive, negative: [], control: null };
      card.set({ ...CARD, logits });
      return shown("[aria-label=raises] button .iw-c-name").map((el) => el.textContent);
    };
    expect(offered(" austin", "ing", " ,")).toEqual(["austin"]);
    expect(offered("austin", "##ing", ",", "great lakes")).toEqual(["austin", "great lakes"]);
    shown("[aria-label=raises] button")[1].click();
    expect(port.find).toHaveBeenCalledExactlyOnceWith("great lakes");
  });

  it("shows blank tokens by a sign", () => {
    const names = shown("[aria-label=raises] .iw-c-name").map((el) => el.textContent);
    expect(names).toEqual(["austin", "␣"]);
  });

  it("asks nothing where nobody answers, and says so", () => {
    card.setUnable("There is no kernel.");
    expect(test().disabled).toBe(true);
    expect(card.el.textContent).toContain("There is no kernel.");
    for (const name of ["suggest", "steer"]) expect(named(name)).toBeUndefined();
    title().click();
    expect(field().hidden).toBe(true);
    shown(".iw-c-example")[0].click();
    expect(port.test).not.toHaveBeenCalled();
    card.setUnable("");
    expect(test().disabled).toBe(false);
  });

  it("shows a sentence in place of a card", () => {
    card.set(null, "Opening L3/4 …");
    expect(card.el.textContent).toContain("Opening L3/4 …");
    expect(shown("h4").length).toBe(0);
  });

  it("works without a corpus: weights alone, and a note how to get examples", () => {
    card.set({
      ...CARD,
      indexed: false,
      density: null,
      activations: { edges: [], counts: [], max: null, here: null, percentile: null },
      examples: [],
      groups: [],
      notes: ["There are no examples yet: index a text."],
    });
    expect(card.el.textContent).toContain("index a text");
    expect(shown("h4").map((el) => el.firstChild?.textContent)).not.toContain("fires on");
  });

  it("takes texts from models, corpora and users for text", () => {
    const label = {
      ...(CARD.label as NonNullable<Card["label"]>),
      text: HOSTILE,
      kind: HOSTILE,
      source: HOSTILE,
    };
    const example = {
      ...CARD.examples[0],
      tokens: ["a", HOSTILE],
      activations: [0, 1],
      trigger: 1,
    };
    const token = { token: HOSTILE, value: 1 };
    const near = { layer: 1, feature: 1, label: HOSTILE, value: 0.5 };
    card.set(
      {
        ...CARD,
        scan: HOSTILE,
        unit: HOSTILE,
        label,
        examples: [example],
        negative: [example],
        groups: [{ name: HOSTILE, low: 0, high: 1, examples: [example] }],
        logits: { positive: [token], negative: [token], control: null },
        similar: { decoder: [near], control: null, together: [near], together_control: null },
        upstream: [near],
        downstream: [near],
        effect: [{ to: HOSTILE, share: 1 }],
        notes: [HOSTILE],
      },
      HOSTILE,
    );
    card.setFiring({ state: "done", tokens: [HOSTILE], activations: [1] });
    const proposal = { text: HOSTILE, rule: HOSTILE, score: null, low: null, high: null };
    card.setProposals({
      state: "done",
      message: HOSTILE,
      proposals: [{ ...proposal, control: null, samples: 0 }],
    });
    expectText(card.el);
  });
});

describe("a page without a kernel", () => {
  const other = { ...CARD, name: "L3/40", layer: 3, feature: 40, label: null };

  it("shows its cards; only features of the page can be gone to", () => {
    const root = mountCards(document.body, { title: "two", cards: [CARD, other] });
    expect(root.querySelectorAll(".iw-card").length).toBe(2);
    expect(root.querySelector("textarea")?.closest("[hidden]")).not.toBeNull();
    expect(root.querySelectorAll("button.iw-c-example").length).toBe(0); // nobody to copy it for
    expect(root.querySelector("footer")?.textContent).toContain("control");
    expect(root.querySelector("details dl")?.textContent).toContain("random labels");
    expect(root.textContent).toContain("This page has no model behind it");
    const [first, second] = root.querySelectorAll<HTMLElement>(".iw-card");
    second.scrollIntoView = vi.fn();
    const open = [...first.querySelectorAll<HTMLElement>("[data-open]")];
    expect(open.map((el) => el.dataset.open)).toEqual(["3/40"]);
    open[0].click();
    expect(second.scrollIntoView).toHaveBeenCalledTimes(1);
    root.remove();
  });

  it("reads its cards from the page", () => {
    const page = document.implementation.createHTMLDocument("features");
    const data = page.createElement("script");
    data.type = "application/json";
    data.className = "iw-data";
    data.textContent = JSON.stringify({ title: HOSTILE, cards: [CARD] });
    page.body.append(data);
    const root = mountPage(page);
    expect(root.querySelector(".iw-c-title")?.textContent).toBe("texas");
    expectText(root);
  });
});
