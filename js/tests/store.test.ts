import { describe, expect, it } from "vitest";
import { Store } from "../graph/store";
import { graphOf } from "./make";

/** Two features that feed the answer, the second with little influence. */
function loaded(): Store {
  const graph = graphOf([0, 0, 3], {
    links: [
      [0, 2, 1],
      [1, 2, 0.1],
    ],
    columns: { layer: [1, 2, 4], cumulative: [0.5, 0.95, 1] },
  });
  const store = new Store();
  store.receive({ graph, threshold: 1 });
  return store;
}

describe("Store", () => {
  it("no longer points at a node that the slider took away", () => {
    const store = loaded();
    store.set({ hover: 1, frozen: true });
    expect(store.state.hover).toBe(1);
    store.set({ threshold: 0.6 });
    expect(store.state.hover).toBe(-1);
    expect(store.state.frozen).toBe(false);
  });

  it("goes on pointing at a node that stays", () => {
    const store = loaded();
    store.set({ hover: 0 });
    store.set({ threshold: 0.6 });
    expect(store.state.hover).toBe(0);
  });

  it("keeps what is selected however weak it is", () => {
    const store = loaded();
    store.set({ selected: ["n1"] });
    store.set({ hover: 1 });
    store.set({ threshold: 0.6 });
    expect(store.kept.mask[1]).toBe(1);
    expect(store.state.hover).toBe(1);
  });

  it("takes a whole drag of the slider back at once", () => {
    const store = loaded();
    for (const threshold of [0.9, 0.8, 0.7]) store.set({ threshold });
    store.undo();
    expect(store.state.threshold).toBe(1);
    store.redo();
    expect(store.state.threshold).toBe(0.7);
  });
});
