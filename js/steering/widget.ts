/** The anywidget side: traits in, messages out; tokens and the chart come as messages. */
import type { AnyModel, Render } from "@anywidget/types";
import { listen, sender } from "../shared/host";
import type { Host, Live, Next, Steps, Texts } from "./state";
import { View } from "./view";

interface Traits extends Record<string, unknown> {
  live: Live;
  texts: Texts;
  next: Next | Record<string, never>;
  height: number;
}

const next = (model: AnyModel<Traits>): Next | null => {
  const value = model.get("next");
  return "tokens" in value ? (value as Next) : null;
};

const render: Render<Traits> = ({ model, el, host: widgets }) => {
  // Numbers go on where the last page's ended, so that Python's answers cannot be an old page's.
  let seq = Math.max(0, model.get("live").seq ?? 0);
  const send = sender(model, (gone) => view?.setOffline(gone));
  const ask = (message: object): boolean => send({ ...message, seq: ++seq });
  const host: Host = {
    turn: (knob, mode, value) => ask({ type: "turn", knob, mode, value }),
    set: (values) => ask({ type: "set", values }),
    choose: (variant) => ask({ type: "choose", variant }),
    act: (what) => ask({ type: "do", what }),
    measure: (values) => ask({ type: "dose", values }),
    look: (row, at) => ask({ type: "look", row, at }),
    back: (tried) => ask({ type: "back", tried }),
  };
  let view: View | null = null;
  view = new View(
    el,
    host,
    (theme) => send({ type: "theme", theme }),
    () => seq + 1,
  );
  const shown = view;

  const ready = () => void send({ type: "ready", theme: shown.root.dataset.iwTheme });
  const handlers: Record<string, (...args: never[]) => void> = {
    "change:live": () => {
      const live = model.get("live");
      seq = Math.max(seq, live.seq); // another page may have asked, too
      shown.setLive(live);
    },
    "change:texts": () => shown.setTexts(model.get("texts")),
    "change:next": () => shown.setNext(next(model)),
    "change:height": () => shown.setHeight(model.get("height")),
    "msg:custom": (message: { type?: string; ref?: string }) => {
      if (message.type === "tokens" && !shown.addSteps(message as Steps)) send({ type: "sync" });
      if (message.type === "figure" && message.ref) {
        void shown.dose.charts.mount(message.ref, widgets, model.widget_manager, ready);
      }
    },
    comm_live_update: () => void send({ type: "ping" }),
  };
  const deaf = listen(model, handlers);
  shown.setHeight(model.get("height"));
  shown.setLive(model.get("live"));
  shown.setTexts(model.get("texts"));
  shown.setNext(next(model));
  requestAnimationFrame(ready);
  return () => {
    deaf();
    shown.destroy();
  };
};

export default { initialize() {}, render };
