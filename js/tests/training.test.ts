/** The training view in a page without a notebook. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Example, exampleLine, triggerName } from "../shared/example";
import { typed, visible } from "../shared/format";
import type { Features, Host, Live } from "../training/state";
import { EMPTY } from "../training/state";
import { View } from "../training/view";
import {
  amount,
  duration,
  figures,
  fromSlider,
  headline,
  plain,
  stateSentence,
  toSlider,
} from "../training/words";
import { expectText, HOSTILE, stubSizes } from "./page";

const LIVE: Live = {
  ...EMPTY,
  state: "computing",
  progress: 0.25,
  step: 1234,
  tokens: 250_000,
  total: 1_000_000,
  rate: 20_000,
  left: 37.5,
  model: "tiny",
  dictionaries: [{ name: "L3", title: "TopK transcoder, L3, 2,048 features" }],
  size: 2048,
  numbers: { loss: 0.231, fvu: 0.182, l0: 31.8, dead_share: 0.021 },
  settings: { lr: 3e-4, k: 32 },
  limits: { lr: [1e-6, 0.1], k: [1, 1024] },
};

function featuresOf(numbers: readonly number[]): Features {
  const example: Example = { tokens: [" the", " sea"], activations: [0, 2], trigger: 1 };
  const rows = numbers.map((feature) => ({ feature, density: 0.1, examples: [example] }));
  return { name: "L3", order: "active", start: 0, size: 2048, alive: 900, tokens: 4096, rows };
}

describe("words", () => {
  it("say how far it is", () => {
    expect(stateSentence(LIVE, "L3")).toBe("250k of 1M tokens, 20k tokens/s, 38 s left");
    expect(stateSentence({ ...LIVE, step: 0, message: "reading text, 30%" }, "L3")).toBe(
      "Reading text, 30% …",
    );
    const two = [...LIVE.dictionaries, { name: "L4", title: "" }];
    const done = { ...LIVE, state: "done" as const, tokens: 1_000_000 };
    expect(stateSentence(done, "L3")).toContain("training.dictionary() is the result.");
    expect(stateSentence({ ...done, dictionaries: two }, "L4")).toContain(
      'training.dictionary("L4") is the result.',
    );
    expect(stateSentence({ ...LIVE, state: "failed", message: "No text" }, "L3")).toBe("No text.");
    expect(headline(LIVE, "L3", true)).toBe("Last seen at step 1,234, 250k of 1M tokens.");
  });

  it("have short numbers and times", () => {
    expect([0, 999, 1000, 12_345, 999_499, 999_999, 1.25e6, 3e9].map(amount)).toEqual([
      "0",
      "999",
      "1k",
      "12.3k",
      "999k",
      "1M",
      "1.25M",
      "3B",
    ]);
    expect([0, 12, 89, 91, 3600, 5400, 7800].map(duration)).toEqual([
      "0 s",
      "12 s",
      "89 s",
      "2 min",
      "60 min",
      "1 h 30 min",
      "2 h 10 min",
    ]);
  });

  it("read what people type, and write what they could type", () => {
    expect(["3e-4", " 0,0003 ", "1 000", "−1", "", "abc"].map(typed)).toEqual([
      3e-4,
      3e-4,
      1000,
      -1,
      null,
      null,
    ]);
    for (const value of [3e-4, 32, 1e-7, 0.00123]) expect(typed(plain(value))).toBe(value);
  });

  it("put sliders on a log scale, there and back", () => {
    expect(toSlider(1, [1, 1024])).toBe(0);
    expect(toSlider(32, [1, 1024])).toBeCloseTo(0.5);
    expect(fromSlider(0.5, [1, 1024], true)).toBe(32);
    expect(fromSlider(0, [1, 1024], true)).toBe(1);
    expect(fromSlider(0.5, [1e-6, 1e-2], false)).toBe(1e-4);
  });

  it("show every number with what it is to be compared with", () => {
    const controls = { "fvu of PCA, rank 32": 0.31, tokens: 8192 };
    const [loss, fvu, l0, dead] = figures({ ...LIVE, controls });
    expect(loss.value).toBe("0.23");
    expect(fvu.beside).toBe("the mean: 1 · PCA, rank 32: 0.31 on 8.19k tokens");
    expect(l0.beside).toBe("of k 32");
    expect([dead.value, dead.beside]).toEqual(["2.1%", "of 2,048"]);
    expect(figures(EMPTY).map((each) => each.value)).toEqual(["–", "–", "–", "–"]);
  });

  it("make visible what cannot be seen or would turn the line around", () => {
    expect(visible("\n")).toBe("⏎");
    expect(visible("a\u202eb")).toBe("a⟨202E⟩b");
    expect(visible("\u0000\u200b")).toBe("⟨0000⟩⟨200B⟩");
    expect(visible(" 東京")).toBe(" 東京");
  });
});

describe("an example", () => {
  it("keeps its trigger in a short line", () => {
    const tokens = Array.from({ length: 60 }, (_, at) => ` word${at}`);
    const activations = tokens.map((_, at) => (at === 30 ? 2 : at === 29 ? 1 : 0));
    const line = exampleLine({ tokens, activations, trigger: 30 }, 2, [16, 30]);
    expect(line.querySelector(".iw-trigger")?.textContent).toBe("word30");
    expect(line.querySelectorAll("mark").length).toBe(2);
    expect(line.textContent?.indexOf("word30")).toBeLessThan(20);
    expect(line.textContent).toMatch(/^….*…$/);
  });

  it("shows a blank trigger as a sign", () => {
    const line = exampleLine({ tokens: ["a", "  "], activations: [0, 1], trigger: 1 }, 1, null);
    expect(line.querySelector("mark")?.textContent).toBe("␣");
  });

  it("shows a trigger that is part of a character beside the whole one", () => {
    const tokens = ["a", "", "é", "", "b"];
    const line = exampleLine({ tokens, activations: [0, 2, 1, 0, 0], trigger: 1 }, 2, null);
    expect(line.textContent).toBe("a\ufffdéb");
    expect(triggerName({ tokens, activations: [], trigger: 1 })).toBe("“\ufffd”");
  });
});

describe("the view", () => {
  let view: View;
  let host: { [K in keyof Host]: ReturnType<typeof vi.fn> };

  beforeEach(() => {
    vi.useFakeTimers();
    stubSizes();
    host = {
      act: vi.fn(() => true),
      change: vi.fn(() => true),
      choose: vi.fn(() => true),
    };
    view = new View(document.body, host as unknown as Host, () => {});
    view.setShown("L3");
    view.setLive(LIVE);
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
  const slider = (name: string) =>
    view.root.querySelector(`[data-setting=${name}] input[type=range]`) as HTMLInputElement;
  const field = (name: string) =>
    view.root.querySelector(`[data-setting=${name}] input[type=text]`) as HTMLInputElement;

  it("asks once for a pause and says when the kernel is slow to hear", () => {
    named("Pause")?.click();
    expect(host.act).toHaveBeenCalledExactlyOnceWith("pause");
    expect(named("Pausing")?.disabled).toBe(true);
    vi.advanceTimersByTime(2500);
    expect(view.root.textContent).toContain("The kernel is busy with a cell");
    view.setLive({ ...LIVE, state: "paused" });
    expect(named("Resume")?.disabled).toBe(false);
    expect(view.root.textContent).not.toContain("The kernel is busy");
  });

  it("cancels only when asked twice", () => {
    named("Cancel")?.click();
    expect(host.act).not.toHaveBeenCalled();
    view.setLive({ ...LIVE, step: 1235 });
    expect(named("Pause")).toBeUndefined();
    named("Go on")?.click();
    expect(named("Pause")).toBeDefined();
    named("Cancel")?.click();
    named("Cancel training")?.click();
    expect(host.act).toHaveBeenCalledExactlyOnceWith("cancel");
  });

  it("applies a slider when it is let go, not while it moves", () => {
    const el = slider("k");
    el.dispatchEvent(new Event("pointerdown"));
    for (const at of [110, 120, 140]) {
      el.value = String(at);
      el.dispatchEvent(new Event("input"));
      view.setLive({ ...LIVE, step: 1235 }); // news must not move what is held
      expect(el.value).toBe(String(at));
    }
    expect(host.change).not.toHaveBeenCalled();
    el.dispatchEvent(new Event("change"));
    vi.runOnlyPendingTimers();
    expect(host.change).toHaveBeenCalledExactlyOnceWith("k", 128, false);
  });

  it("waits for the last of several arrow keys", () => {
    const el = slider("k");
    for (const at of [101, 102, 103]) {
      el.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
      el.value = String(at);
      el.dispatchEvent(new Event("input"));
      el.dispatchEvent(new Event("change"));
      vi.advanceTimersByTime(200);
    }
    expect(host.change).not.toHaveBeenCalled();
    vi.advanceTimersByTime(700);
    expect(host.change).toHaveBeenCalledTimes(1);
  });

  it("takes a typed number, and says what is none", () => {
    const el = field("lr");
    el.value = "1e-3";
    el.dispatchEvent(new Event("change"));
    expect(host.change).toHaveBeenCalledExactlyOnceWith("lr", 1e-3, false);
    el.value = "fast";
    el.dispatchEvent(new Event("change"));
    expect(host.change).toHaveBeenCalledTimes(1);
    expect(view.root.textContent).toContain("“fast” is no number; one such as 0.0003 is.");
    expect(el.value).toBe("0.0003");
    const k = field("k");
    k.value = "2.5";
    k.dispatchEvent(new Event("change"));
    expect(view.root.textContent).toContain("k is a whole number, not 2.5.");
  });

  it("says from which step a change holds, and takes it back", () => {
    const changes = [{ step: 1234, what: "k", old: 32, new: 64 }];
    view.setLive({ ...LIVE, settings: { lr: 3e-4, k: 64 }, changes });
    expect(view.root.textContent).toContain("k 32 → 64, applied from step 1,234");
    named("undo")?.click();
    expect(host.change).toHaveBeenCalledExactlyOnceWith("k", 32, false);
    view.setLive({ ...LIVE, state: "done", changes });
    expect(named("undo")).toBeUndefined();
    expect(field("k").disabled).toBe(true);
  });

  it("changes all dictionaries if that is ticked", () => {
    const dictionaries = ["L3", "L4"].map((name) => ({ name, title: name }));
    view.setLive({ ...LIVE, dictionaries });
    const all = view.root.querySelector("input[type=checkbox]") as HTMLInputElement;
    all.checked = true;
    field("k").value = "16";
    field("k").dispatchEvent(new Event("change"));
    expect(host.change).toHaveBeenCalledExactlyOnceWith("k", 16, true);
  });

  it("has a tab for each of a few dictionaries, and a list for many", () => {
    const many = (n: number) =>
      Array.from({ length: n }, (_, at) => ({ name: `L${at}`, title: `layer ${at}` }));
    view.setLive({ ...LIVE, dictionaries: many(3) });
    view.setShown("L1");
    const tabs = [...view.root.querySelectorAll<HTMLElement>("[role=tab]")];
    expect(tabs.map((tab) => tab.getAttribute("aria-selected"))).toEqual([
      "false",
      "true",
      "false",
    ]);
    tabs[1].dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    expect(host.choose).toHaveBeenCalledExactlyOnceWith({ shown: "L2" });
    view.setLive({ ...LIVE, dictionaries: many(30) });
    expect(view.root.querySelectorAll("[role=tab]").length).toBe(0);
    expect(view.root.querySelectorAll("select option").length).toBeGreaterThanOrEqual(30);
  });

  it("holds the list still while the keyboard or the pointer is in it", () => {
    view.setFeatures(featuresOf([7, 8]));
    const list = view.root.querySelector(".iw-t-listbox .iw-rows") as HTMLElement;
    const shown = () =>
      [...list.querySelectorAll<HTMLElement>(".iw-t-row")].map((row) => row.dataset.feature);
    list.dispatchEvent(new Event("pointerenter"));
    view.setFeatures(featuresOf([8, 7]));
    expect(shown()).toEqual(["7", "8"]);
    list.dispatchEvent(new Event("pointerleave"));
    expect(shown()).toEqual(["8", "7"]);
    list.querySelector<HTMLElement>(".iw-t-row")?.click();
    expect(host.choose).toHaveBeenCalledExactlyOnceWith({ opened: 8 });
  });

  it("says that a feature is dead, in words", () => {
    view.setFeatures({ ...featuresOf([]), rows: [{ feature: 9, density: 0, examples: [] }] });
    expect(view.root.querySelector(".iw-t-row")?.textContent).toContain("dead");
    view.setDetail({ name: "L3", tokens: 4096, row: { feature: 9, density: 0, examples: [] } });
    expect(view.root.textContent).toContain("It did not fire on the last 4.1k tokens: dead");
  });

  it("says when there is no kernel, and offers nothing that nobody hears", () => {
    view.setOffline(true);
    expect(view.root.textContent).toContain("No kernel behind this view");
    for (const name of ["Pause", "Stop and keep", "Cancel"]) expect(named(name)).toBeUndefined();
    expect(slider("k").disabled).toBe(true);
    view.setOffline(false);
    expect(named("Pause")).toBeDefined();
  });

  it("notices a kernel that has gone silent", () => {
    vi.advanceTimersByTime(20_000);
    expect(view.root.textContent).toContain("No news from the kernel");
    view.setLive({ ...LIVE, step: 1240 });
    vi.advanceTimersByTime(2000);
    expect(view.root.textContent).not.toContain("No news from the kernel");
  });

  it("keeps bare keys from JupyterLab, and leaves it those with Ctrl", () => {
    const heard: string[] = [];
    const listen = (event: KeyboardEvent) => heard.push(event.key);
    document.body.addEventListener("keydown", listen);
    const press = (key: string, ctrlKey = false) =>
      slider("k").dispatchEvent(new KeyboardEvent("keydown", { key, ctrlKey, bubbles: true }));
    press("ArrowRight");
    press("s", true);
    document.body.removeEventListener("keydown", listen);
    expect(heard).toEqual(["s"]);
  });

  it("takes texts from models and users for text", () => {
    const example: Example = { tokens: ["a", HOSTILE], activations: [0, 1], trigger: 1 };
    const row = { feature: 1, density: 0.1, examples: [example] };
    const dictionaries = [HOSTILE, "b"].map((name) => ({ name, title: HOSTILE }));
    view.setShown(HOSTILE);
    view.setLive({ ...LIVE, dictionaries, message: HOSTILE, problem: HOSTILE, model: HOSTILE });
    view.setFeatures({ ...featuresOf([]), rows: [row] });
    view.setDetail({ name: HOSTILE, tokens: 3, row });
    view.setLive({ ...LIVE, dictionaries, state: "failed", message: HOSTILE });
    expectText(view.root);
  });
});
