/** The anywidget side: traits in, traits and messages out. The view itself knows no notebook. */
import type { AnyModel, Render } from "@anywidget/types";
import { drawn, listen, sender } from "../shared/host";
import type { Binary } from "./buffer";
import { ANSWERS, answers, type MeaningTask } from "./check/state";
import type { Shared, Status } from "./store";
import { View } from "./view";

interface Traits extends Record<string, unknown> {
  data: Binary;
  status: Status;
  selected: string[];
  pinned: string[];
  groups: string[][];
  labels: Record<string, string>;
  threshold: number;
  height: number;
}

const SHARED = ["selected", "pinned", "groups", "labels", "threshold"] as const;

/** The slider moves faster than a kernel answers. */
const THROTTLE_MS = 80;

function shared(model: AnyModel<Traits>): Partial<Shared> {
  return Object.fromEntries(SHARED.map((key) => [key, model.get(key)]));
}

const render: Render<Traits> = ({ model, el }) => {
  let waiting: Partial<Shared> | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const send = sender(model, (gone) => view.setOffline(gone));
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (!waiting) return;
    const values = waiting;
    waiting = null;
    // The trait is the state that other views and the saved notebook see; the message gets
    // through where a kernel holds trait updates back.
    for (const [key, value] of Object.entries(values)) model.set(key, value as never);
    if (send({ type: "set", values })) model.save_changes();
  };
  const view = new View(el, {
    shared(values) {
      waiting = { ...waiting, ...values };
      const slow = "threshold" in values;
      if (!slow) flush();
      else timer ??= setTimeout(flush, THROTTLE_MS);
    },
    cancel: (what) => send(what ? { type: "cancel", what } : { type: "cancel" }),
    ask: ({ what, ...request }) => send({ type: "ask", what, request }),
  });

  const handlers: Record<string, () => void> = {
    "change:data": () => view.setData(model.get("data")),
    "change:status": () => view.setStatus(model.get("status")),
    "change:height": () => view.setHeight(model.get("height")),
    comm_live_update: () => void send({ type: "ping" }),
  };
  for (const key of SHARED) {
    handlers[`change:${key}`] = () => {
      // What this view is about to send is newer than what arrives.
      if (waiting && key in waiting) return;
      view.setShared({ [key]: model.get(key) });
    };
  }
  const setAnswers = () => view.setAnswers(answers((name) => model.get(name)));
  for (const key of ANSWERS) handlers[`change:${key}`] = setAnswers;
  handlers["change:meaning"] = () => {
    setAnswers();
    // The second part of a card waits until the first is on screen.
    const { state, result } = model.get("meaning") as MeaningTask;
    if (state === "computing" && result) drawn(() => send({ type: "drawn" }));
  };
  const deaf = listen(model, handlers);
  view.setHeight(model.get("height"));
  view.setShared(shared(model));
  view.setStatus(model.get("status"));
  setAnswers();
  view.setData(model.get("data"));
  return () => {
    deaf();
    clearTimeout(timer);
    view.destroy();
  };
};

export default { initialize() {}, render };
