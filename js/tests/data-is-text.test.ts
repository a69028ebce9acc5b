/** Labels, tokens and prompts come from models and files: none may become markup. */
import { beforeEach, describe, expect, it } from "vitest";
import { Actions } from "../graph/actions";
import { Outline } from "../graph/chrome/outline";
import { Tooltip } from "../graph/chrome/tooltip";
import { Topbar } from "../graph/chrome/topbar";
import { Panel } from "../graph/panel/panel";
import { Store } from "../graph/store";
import { clip, number, percent, probability, signed, tokenText } from "../shared/format";
import { escapeXml, SvgSurface } from "../shared/svg-surface";
import { graphOf } from "./make";
import { expectText, HOSTILE } from "./page";

const graph = graphOf([2, 0, 0, 1, 3], {
  header: {
    prompt: HOSTILE,
    tokens: [HOSTILE, HOSTILE, HOSTILE],
    error_name: HOSTILE,
    weight_name: HOSTILE,
    names: [HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE],
    ids: [`${HOSTILE}0`, `${HOSTILE}1`, `${HOSTILE}2`, `${HOSTILE}3`, `${HOSTILE}4`],
    scores: { [HOSTILE]: 0.5 },
  },
  columns: { layer: [-1, 1, 2, 1, 4], input_sum: [0, 1, 4, 0, 1], influence: [1, 2, 3, 4, 5] },
  links: [
    [0, 1, 1],
    [1, 2, 3],
    [3, 2, -1],
    [2, 4, 1],
  ],
});

describe("text from data", () => {
  let store: Store;
  let panel: Panel;
  let actions: Actions;

  beforeEach(() => {
    store = new Store();
    actions = new Actions(store);
    panel = new Panel(store, actions, new AbortController().signal);
    document.body.replaceChildren(panel.el);
    store.receive({ graph, threshold: 1, labels: { [graph.ids[1]]: HOSTILE } });
  });

  it("stays text in the overview", () => expectText(panel.el));

  it("stays text in a node's lists, grouped and not", () => {
    store.set({ selected: [graph.ids[2]] });
    expectText(panel.el);
    store.set({ grouping: "token" });
    expectText(panel.el);
    store.set({ grouping: "layer", measure: "weight" });
    expectText(panel.el);
  });

  it("stays text in a group and while it is renamed", () => {
    store.set({
      groups: [[HOSTILE, graph.ids[1], graph.ids[2]]],
      selected: [graph.ids[1], graph.ids[2]],
    });
    expectText(panel.el);
    actions.startRename();
    expect(panel.el.querySelector("input")?.value).toBe(HOSTILE);
    expectText(panel.el);
  });

  it("stays text in search results, tooltip, top bar and table", () => {
    store.set({ query: "<img" });
    expectText(panel.el);
    const tip = new Tooltip(store, document.body, () => ({ x: 0, y: 0 }));
    store.set({ hover: 1 });
    tip.show(true);
    expectText(tip.el);
    const bar = new Topbar(store, actions, { toggleHelp() {}, reveal() {}, menu: () => [] });
    expectText(bar.el);
    const outline = new Outline(store, actions, new AbortController().signal);
    store.set({ selected: [graph.ids[2]] });
    expectText(outline.live);
  });

  it("is escaped in exported SVG", () => {
    const svg = new SvgSurface(100, 50, HOSTILE, "#fff");
    svg.text(HOSTILE, 1, 2, { size: 11, color: '"><script>' });
    const doc = new DOMParser().parseFromString(svg.toString(), "image/svg+xml");
    expect(doc.querySelector("parsererror")).toBeNull();
    expect(doc.querySelectorAll("img, script").length).toBe(0);
    expect(doc.querySelector("text")?.textContent).toBe(HOSTILE);
    expect(escapeXml("a\u0000b\ud800c")).toBe("a\ufffdb\ufffdc");
  });
});

describe("numbers", () => {
  it("have a real minus sign and a steady form", () => {
    expect(signed(-0.123)).toBe("−0.12");
    expect(signed(0.5)).toBe("+0.50");
    expect(signed(0.0001)).toBe("0.00");
    expect(number(-1234.6)).toBe("−1,235");
    expect(number(0.00003)).toBe("3.0e−5");
    expect(percent(0.061)).toBe("6.1%");
    expect(probability(0.823)).toBe(".82");
    expect(probability(0.001)).toBe("<.01");
    expect(number(Number.NaN)).toBe("none");
  });

  it("tokens are readable words", () => {
    expect(tokenText(" las")).toBe("las");
    expect(tokenText(" ")).toBe("␣");
    expect(tokenText("\n\n")).toBe("⏎⏎");
    expect(clip("abcdef", 4)).toBe("abc…");
  });
});
