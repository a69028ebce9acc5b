import type { AnyModel } from "@anywidget/types";
import { describe, expect, it } from "vitest";
import { choose, listen, sender, silence } from "../shared/host";

/** A notebook's model with, or without, a kernel behind it. */
function notebook() {
  const listeners = new Map<string, (() => void)[]>();
  const state: Record<string, unknown> = {};
  const model = {
    alive: true,
    sent: [] as object[],
    saved: 0,
    state,
    tell(name: string) {
      for (const listener of listeners.get(name) ?? []) listener();
    },
    on(name: string, listener: () => void) {
      listeners.set(name, [...(listeners.get(name) ?? []), listener]);
    },
    off(name: string, listener: () => void) {
      listeners.set(
        name,
        (listeners.get(name) ?? []).filter((each) => each !== listener),
      );
    },
    set(name: string, value: unknown) {
      state[name] = value;
    },
    send(message: object) {
      if (!model.alive) throw new Error("no comm");
      model.sent.push(message);
    },
    save_changes() {
      if (!model.alive) throw new Error("no comm");
      model.saved += 1;
    },
  };
  return { model, widget: model as unknown as AnyModel };
}

describe("what the anywidget side of every view does alike", () => {
  it("says whether a kernel heard the message, and says so again when one is back", () => {
    const { model, widget } = notebook();
    const told: boolean[] = [];
    const send = sender(widget, (gone) => told.push(gone));
    expect(send({ type: "one" })).toBe(true);
    model.alive = false;
    expect(send({ type: "two" })).toBe(false);
    model.alive = true;
    expect(send({ type: "three" })).toBe(true);
    expect(told).toEqual([false, true, false]);
    expect(model.sent).toEqual([{ type: "one" }, { type: "three" }]);
  });

  it("keeps a choice as state and sends it, too; without a kernel it stays state", () => {
    const { model, widget } = notebook();
    const told: boolean[] = [];
    const send = sender(widget, (gone) => told.push(gone));
    expect(choose(widget, send, { shown: "heads", selected: ["a"] })).toBe(true);
    expect(model.state).toEqual({ shown: "heads", selected: ["a"] });
    expect(model.saved).toBe(1);
    expect(model.sent).toEqual([{ type: "set", values: { shown: "heads", selected: ["a"] } }]);
    model.alive = false;
    expect(choose(widget, send, { shown: "mlp" })).toBe(false);
    expect(model.state.shown).toBe("mlp");
    expect(told).toEqual([false, true]);
  });

  it("listens until the view goes, and leaves other listeners alone", () => {
    const { model, widget } = notebook();
    const heard: string[] = [];
    model.on("change:live", () => heard.push("another"));
    const deaf = listen(widget, {
      "change:live": () => heard.push("live"),
      comm_live_update: () => heard.push("comm"),
    });
    model.tell("change:live");
    model.tell("comm_live_update");
    expect(heard).toEqual(["another", "live", "comm"]);
    deaf();
    model.tell("change:live");
    model.tell("comm_live_update");
    expect(heard).toEqual(["another", "live", "comm", "another"]);
  });

  it("says that news stay away once, and takes it back when they come", () => {
    const now = performance.now();
    expect(silence("", now, 60_000)).toBeNull();
    const said = silence("", now - 60_001, 60_000) as string;
    expect(said).toContain("No news from the kernel");
    expect(silence(said, now - 60_001, 60_000)).toBeNull();
    expect(silence("Applied.", now - 60_001, 60_000)).toBeNull();
    expect(silence(said, now, 60_000)).toBe("");
  });
});
