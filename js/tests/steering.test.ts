/** The steering view in a page without a notebook. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Host, Knob, Live, Row, Texts, Token } from "../steering/state";
import { EMPTY } from "../steering/state";
import { View } from "../steering/view";
import {
  inUnit,
  natural,
  rowFacts,
  shade,
  sizes,
  stateSentence,
  tokenTitle,
  toRaw,
  written,
} from "../steering/words";
import { expectText, HOSTILE, stubSizes } from "./page";

const KNOB: Knob = {
  name: "texas",
  place: "L2/117",
  modes: ["add", "pin", "scale"],
  ready: true,
  sigma: 0.5,
  top: 4,
  tokens: 2048,
  text: "the model's own sample.txt",
  share: 0.1,
  limits: { add: [-5, 5], pin: [0, 5], scale: [-4, 4] },
};

const LIVE: Live = {
  ...EMPTY,
  state: "done",
  message: "3 tokens, 30 a second.",
  seq: 0,
  knobs: [KNOB, { ...KNOB, name: "sad", place: "L3/4" }],
  variants: [
    {
      name: "A",
      turns: [
        { mode: "add", value: 1 },
        { mode: "add", value: 0 },
      ],
    },
  ],
  settings: { ...EMPTY.settings, prompt: "once upon a time" },
};

const BASE: readonly Token[] = [
  [" there", -0.1, null, null],
  [" was", -0.2, null, null],
  [" a", -0.3, null, null],
];
const STEERED: readonly Token[] = [
  [" there", -0.1, 0, 0.01],
  [" is", -0.5, 2, 0.6],
  [" no", -3, -4.5, 0.5],
];
const row = (tokens: readonly Token[], ended = "length"): Row => ({ tokens, ended, same: false });
const TEXTS: Texts = { run: 1, lead: "once upon a time", rows: [row(BASE), row(STEERED)] };

describe("words", () => {
  it("say what is going on", () => {
    const streaming = { ...LIVE, state: "streaming" as const };
    expect(stateSentence(streaming, 12)).toBe("Writing, 12 of 40 tokens …");
    expect(stateSentence({ ...LIVE, state: "failed", message: "No room" }, 0)).toBe("No room.");
    expect(stateSentence(EMPTY, 0)).toContain("Nothing to steer yet");
  });

  it("turn raw values into sigmas and shares of the norm, there and back", () => {
    expect(inUnit(1.5, KNOB, "sigma")).toBe(3);
    expect(inUnit(1.5, KNOB, "share")).toBeCloseTo(15);
    for (const unit of ["sigma", "share", "raw"] as const)
      expect(toRaw(inUnit(-1.25, KNOB, unit) ?? 0, KNOB, unit)).toBeCloseTo(-1.25);
    const unknown = { ...KNOB, sigma: null, share: null };
    expect([inUnit(1, unknown, "sigma"), inUnit(1, unknown, "share")]).toEqual([null, null]);
    expect([0, -2.345, 12.34, 250].map(written)).toEqual(["0", "−2.35", "12.3", "250"]);
  });

  it("show every size of a value, and what it rests on", () => {
    expect(sizes({ mode: "add", value: 1.5 }, KNOB, "sigma")).toBe("raw 1.50 · 15% norm");
    expect(sizes({ mode: "scale", value: -2 }, KNOB, "sigma")).toBe("times its value");
    expect(natural(KNOB)).toBe(
      "σ is 0.50 raw, at most 4.00 on 2,048 tokens of the model's own sample.txt. " +
        "1 raw is 10% of the residual stream's median norm there.",
    );
  });

  it("compare a text with the unsteered one", () => {
    expect(rowFacts(row(STEERED), row(BASE))).toBe(
      "3 tokens · differs from token 2 on · mean KL 0.37 nats",
    );
    expect(rowFacts(row(BASE, "stop"), undefined)).toBe("3 tokens, ended by itself");
    expect(tokenTitle(STEERED[2])).toBe(
      "log-probability −3.00, unsteered +1.50: −4.50 nats by steering, KL 0.50",
    );
    expect([null, 0.01, 2, -8].map(shade)).toEqual([0, 0, 0.5, 1]);
  });
});

describe("the view", () => {
  let view: View;
  let sent: number;
  let host: { [K in keyof Host]: ReturnType<typeof vi.fn> };

  beforeEach(() => {
    vi.useFakeTimers();
    stubSizes();
    sent = 0;
    const ask = () =>
      vi.fn(() => {
        sent += 1;
        return true;
      });
    host = {
      turn: ask(),
      set: ask(),
      choose: ask(),
      act: ask(),
      measure: ask(),
      look: ask(),
      back: ask(),
    };
    view = new View(
      document.body,
      host as unknown as Host,
      () => {},
      () => sent + 1,
    );
    view.setLive(LIVE);
    view.setTexts(TEXTS);
  });

  afterEach(() => {
    view.destroy();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  const named = (text: string) =>
    [...view.root.querySelectorAll("button")].find(
      (el) => el.textContent === text && !el.hidden && !el.closest("[hidden]"),
    );
  const knob = (name: string) => view.root.querySelector(`[data-knob="${name}"]`) as HTMLElement;
  const slider = (name: string) =>
    knob(name).querySelector("input[type=range]") as HTMLInputElement;
  const field = (name: string) => knob(name).querySelector("input[type=text]") as HTMLInputElement;
  const text = (at: number) => view.root.querySelectorAll<HTMLElement>(".iw-s-text")[at];
  const type = (el: HTMLInputElement, value: string) => {
    el.value = value;
    el.dispatchEvent(new Event("input"));
    el.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
  };

  it("shows both texts, what steering wanted less marked by more than colour", () => {
    expect(text(0).textContent).toBe("once upon a time there was a");
    expect(text(1).textContent).toBe("once upon a time there is no");
    const words = (name: string) =>
      [...text(1).querySelectorAll(`.${name}`)].map((el) => el.textContent);
    expect(words("iw-s-up")).toEqual(["is"]);
    expect(words("iw-s-down")).toEqual(["no"]);
    expect(text(0).querySelectorAll(".iw-s-up, .iw-s-down").length).toBe(0);
  });

  it("takes tokens as they come, and says when it has missed some", () => {
    const rows = [row([], ""), row([], "")];
    view.setTexts({ ...TEXTS, run: 2, rows });
    const step = (from: number, a: Token | null, b: Token | null) =>
      view.addSteps({ type: "tokens", run: 2, from, steps: [[a, b]] });
    expect(step(0, BASE[0], STEERED[0])).toBe(true);
    expect(step(1, null, STEERED[1])).toBe(true);
    expect(text(0).textContent).toBe("once upon a time there");
    expect(text(1).textContent).toBe("once upon a time there is");
    expect(view.root.dataset.iwSteered).toBe("2");
    expect(step(1, null, STEERED[1])).toBe(true); // twice is no harm
    expect(text(1).textContent).toBe("once upon a time there is");
    expect(step(3, null, STEERED[2])).toBe(false);
    expect(view.addSteps({ type: "tokens", run: 1, from: 2, steps: [[null, BASE[2]]] })).toBe(true);
    expect(text(1).textContent).toBe("once upon a time there is");
  });

  it("writes anew when a slider is let go, not while it moves", () => {
    const el = slider("texas");
    el.dispatchEvent(new Event("pointerdown"));
    for (const at of [250, 270, 300]) {
      el.value = String(at);
      el.dispatchEvent(new Event("input"));
      view.setLive(LIVE); // news must not move what is held
      expect(el.value).toBe(String(at));
    }
    expect(host.turn).not.toHaveBeenCalled();
    el.dispatchEvent(new Event("change"));
    expect(host.turn).toHaveBeenCalledExactlyOnceWith(0, "add", 2.5);
    // What Python said before it heard of the release is old.
    view.setLive(LIVE);
    expect(el.value).toBe("300");
    expect(field("texas").value).toBe("5");
    view.setLive({ ...LIVE, seq: 1 });
    expect(field("texas").value).toBe("2");
  });

  it("waits for the last of several arrow keys", () => {
    const el = slider("texas");
    for (const at of [241, 242, 243]) {
      el.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
      el.value = String(at);
      el.dispatchEvent(new Event("input"));
      el.dispatchEvent(new Event("change"));
      vi.advanceTimersByTime(100);
    }
    expect(host.turn).not.toHaveBeenCalled();
    vi.advanceTimersByTime(200);
    expect(host.turn).toHaveBeenCalledTimes(1);
  });

  it("rests exactly where it says 0", () => {
    const el = slider("sad");
    el.value = "201";
    el.dispatchEvent(new Event("pointerdown"));
    el.dispatchEvent(new Event("input"));
    el.dispatchEvent(new Event("change"));
    expect(host.turn).not.toHaveBeenCalled(); // one step beside rest is rest, where it was
  });

  it("takes typed numbers in the unit that is chosen", () => {
    type(field("texas"), "−3");
    expect(host.turn).toHaveBeenLastCalledWith(0, "add", -1.5);
    const unit = view.root.querySelector("[aria-label='Unit of the numbers']") as HTMLSelectElement;
    view.setLive({ ...LIVE, seq: 1 });
    unit.value = "share";
    unit.dispatchEvent(new Event("change"));
    expect(field("texas").value).toBe("10");
    type(field("texas"), "20");
    expect(host.turn).toHaveBeenLastCalledWith(0, "add", 2);
    type(field("sad"), "much");
    expect(host.turn).toHaveBeenCalledTimes(2);
    expect(view.root.textContent).toContain("“much” is no number; one such as 2.5 is.");
  });

  it("changes the way a slider acts, starting from rest", () => {
    const mode = knob("texas").querySelector("select") as HTMLSelectElement;
    mode.value = "scale";
    mode.dispatchEvent(new Event("change"));
    expect(host.turn).toHaveBeenCalledExactlyOnceWith(0, "scale", 1);
    expect(field("texas").value).toBe("1");
  });

  it("waits with sliders until their sizes are known", () => {
    view.setLive({ ...LIVE, knobs: [{ ...KNOB, ready: false, sigma: null, share: null }] });
    expect(slider("texas").disabled).toBe(true);
    expect(knob("texas").innerHTML).toContain("Its natural size is being measured.");
  });

  it("has a column and a tab for each variant", () => {
    const variants = ["A", "B", "C"].map((name) => ({ ...LIVE.variants[0], name }));
    view.setLive({ ...LIVE, variants, active: 1 });
    view.setTexts({ ...TEXTS, rows: [row(BASE), row(STEERED), row(STEERED), row(STEERED)] });
    expect(view.root.querySelectorAll(".iw-s-column").length).toBe(4);
    expect(named("steered B")?.getAttribute("aria-pressed")).toBe("true");
    expect(view.root.textContent).toContain("Sliders of B");
    named("steered C")?.click();
    expect(host.choose).toHaveBeenCalledExactlyOnceWith(2);
    named("remove")?.click();
    expect(host.act).toHaveBeenCalledExactlyOnceWith("drop");
  });

  it("shows the next token before and after, at the place that is looked at", () => {
    text(1).dispatchEvent(new KeyboardEvent("keydown", { key: "End" }));
    expect(host.look).toHaveBeenCalledExactlyOnceWith(1, 2);
    view.setNext({
      run: 1,
      row: 1,
      at: 2,
      after: "is",
      tokens: [
        [" a", 0.7, 0.1],
        [" no", null, 0.6],
      ],
    });
    const cells = [...view.root.querySelectorAll(".iw-s-next tbody tr")].map((tr) =>
      [...tr.children].map((cell) => cell.textContent),
    );
    expect(cells).toEqual([
      ["a", ".70", ".10", "−.60"],
      ["no", "<.01", ".60", "+.60"],
    ]);
    const looked = view.root.querySelectorAll(".iw-s-text [aria-selected=true]");
    expect([...looked].map((el) => el.textContent)).toEqual(["no"]);
    expect(text(1).getAttribute("aria-activedescendant")).toBe(looked[0].id);
  });

  it("goes back to what was tried with one click", () => {
    const tried = [
      { id: 2, label: "texas +2 σ", text: "there is no" },
      { id: 1, label: "unsteered", text: "there was a" },
    ];
    view.setLive({ ...LIVE, tried, now: 2 });
    const entries = [...view.root.querySelectorAll<HTMLElement>(".iw-s-entry")];
    expect(entries.map((el) => el.getAttribute("aria-current"))).toEqual(["true", null]);
    entries[1].click();
    expect(host.back).toHaveBeenCalledExactlyOnceWith(1);
  });

  it("applies settings that make sense, and says why others do not", () => {
    const temperature = view.root.querySelector("[aria-label=temperature]") as HTMLInputElement;
    type(temperature, "0,8");
    expect(host.set).toHaveBeenCalledExactlyOnceWith({ temperature: 0.8 });
    type(view.root.querySelector("[aria-label=length]") as HTMLInputElement, "2.5");
    expect(host.set).toHaveBeenCalledTimes(1);
    expect(view.root.textContent).toContain("length is a whole number of at least 1, not “2.5”.");
    const prompt = view.root.querySelector("textarea") as HTMLTextAreaElement;
    prompt.value = "the end";
    prompt.dispatchEvent(new Event("input"));
    prompt.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
    expect(host.set).toHaveBeenLastCalledWith({ prompt: "the end" });
  });

  it("offers the chat template only where there is one", () => {
    const chat = view.root.querySelector(".iw-s-check") as HTMLElement;
    expect(chat.hidden).toBe(true);
    view.setLive({ ...LIVE, template: true });
    expect(chat.hidden).toBe(false);
  });

  it("cancels, and writes again what was cut off", () => {
    expect(named("Cancel")).toBeUndefined();
    view.setLive({ ...LIVE, state: "streaming" });
    named("Cancel")?.click();
    expect(host.act).toHaveBeenCalledExactlyOnceWith("cancel");
    view.setLive({ ...LIVE, state: "cancelled", seq: 1 });
    expect(view.root.textContent).toContain("Cancelled: this is the text so far.");
    named("Write again")?.click();
    expect(host.set).toHaveBeenCalledExactlyOnceWith({});
  });

  it("measures doses for what was typed, and waits for a second prompt", () => {
    const prompts = "one\ntwo";
    const question = { prompts: "one", tokens: "a", instruction: "" };
    view.setLive({ ...LIVE, dose: { ...LIVE.dose, question } });
    named("dose and response")?.click();
    expect(host.measure).not.toHaveBeenCalled();
    expect(view.root.textContent).toContain("Give at least two prompts");
    const box = view.root.querySelector(".iw-s-question textarea") as HTMLTextAreaElement;
    box.value = prompts;
    box.dispatchEvent(new Event("input"));
    named("Measure")?.click();
    expect(host.measure).toHaveBeenCalledExactlyOnceWith({ ...question, prompts });
    const dose = { ...LIVE.dose, state: "computing" as const, progress: 0.5, message: "reading" };
    view.setLive({ ...LIVE, seq: 1, dose });
    expect(view.root.textContent).toContain("50%, reading …");
  });

  it("says when the kernel is slow to hear, until it has", () => {
    type(field("texas"), "3");
    vi.advanceTimersByTime(2500);
    expect(view.root.textContent).toContain("The kernel is busy with a cell");
    view.setLive({ ...LIVE, seq: 1 });
    expect(view.root.textContent).not.toContain("The kernel is busy");
  });

  it("says when there is no kernel, and offers nothing that nobody hears", () => {
    view.setOffline(true);
    expect(view.root.textContent).toContain("No kernel behind this view");
    expect(slider("texas").disabled).toBe(true);
    expect(text(1).textContent).toContain("there is no");
    view.setOffline(false);
    expect(slider("texas").disabled).toBe(false);
  });

  it("shows what went wrong as a sentence", () => {
    view.setLive({ ...LIVE, state: "failed", message: "The prompt is too long." });
    const notice = view.root.querySelector(".iw-news") as HTMLElement;
    expect([notice.hidden, notice.textContent]).toEqual([false, "The prompt is too long."]);
  });

  it("keeps bare keys from JupyterLab, and leaves it those with Ctrl", () => {
    const heard: string[] = [];
    const listen = (event: KeyboardEvent) => heard.push(event.key);
    document.body.addEventListener("keydown", listen);
    const press = (key: string, ctrlKey = false) =>
      slider("texas").dispatchEvent(new KeyboardEvent("keydown", { key, ctrlKey, bubbles: true }));
    press("ArrowRight");
    press("s", true);
    document.body.removeEventListener("keydown", listen);
    expect(heard).toEqual(["s"]);
  });

  it("takes texts from models and users for text", () => {
    const hostile: Token = [` ${HOSTILE}`, -1, -3, 1];
    view.setLive({
      ...LIVE,
      state: "failed",
      message: HOSTILE,
      problem: HOSTILE,
      knobs: [{ ...KNOB, name: HOSTILE, place: HOSTILE, text: HOSTILE }],
      variants: ["A", HOSTILE].map((name) => ({ name, turns: [{ mode: "add", value: 1 }] })),
      tried: [{ id: 1, label: HOSTILE, text: HOSTILE }],
      settings: { ...LIVE.settings, prompt: HOSTILE },
      dose: {
        state: "done",
        progress: 1,
        message: HOSTILE,
        title: HOSTILE,
        question: { prompts: HOSTILE, tokens: HOSTILE, instruction: HOSTILE },
      },
    });
    view.setTexts({
      run: 3,
      lead: HOSTILE,
      rows: [row([hostile]), row([hostile]), row([hostile])],
    });
    view.setNext({ run: 3, row: 1, at: 0, after: HOSTILE, tokens: [[HOSTILE, 0.5, 0.1]] });
    expectText(view.root);
  });
});
