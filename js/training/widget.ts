/** The anywidget side: traits in, messages out; the figure comes as a widget of its own. */
import type { AnyModel, Render } from "@anywidget/types";
import { listen, sender } from "../shared/host";
import type { Detail, Features, Host, Live } from "./state";
import { View } from "./view";

interface Traits extends Record<string, unknown> {
  live: Live;
  features: Features | Record<string, never>;
  detail: Detail | Record<string, never>;
  shown: string;
  height: number;
}

const features = (model: AnyModel<Traits>): Features | null => {
  const value = model.get("features");
  return "rows" in value ? (value as Features) : null;
};

const detail = (model: AnyModel<Traits>): Detail | null => {
  const value = model.get("detail");
  return "row" in value ? (value as Detail) : null;
};

const render: Render<Traits> = ({ model, el, host: widgets }) => {
  const send = sender(model, (gone) => view?.setOffline(gone));
  const host: Host = {
    act: (what) => send({ type: "do", what }),
    change: (what, value, everywhere) =>
      send({ type: "change", values: { [what]: value }, everywhere }),
    choose: (values) => send({ type: "set", values }),
  };
  let view: View | null = null;
  view = new View(el, host, (theme) => send({ type: "set", values: { theme } }));
  const shown = view;

  const ready = () => void send({ type: "ready", theme: shown.root.dataset.iwTheme });
  const handlers: Record<string, (...args: never[]) => void> = {
    "change:live": () => shown.setLive(model.get("live")),
    "change:features": () => shown.setFeatures(features(model)),
    "change:detail": () => shown.setDetail(detail(model)),
    "change:shown": () => shown.setShown(model.get("shown")),
    "change:height": () => shown.setHeight(model.get("height")),
    "msg:custom": (message: { type?: string; ref?: string }) => {
      if (message.type === "figure" && message.ref) {
        void shown.charts.mount(message.ref, widgets, model.widget_manager, ready);
      }
    },
    comm_live_update: () => void send({ type: "ping" }),
  };
  const deaf = listen(model, handlers);
  shown.setHeight(model.get("height"));
  shown.setShown(model.get("shown"));
  shown.setLive(model.get("live"));
  shown.setFeatures(features(model));
  shown.setDetail(detail(model));
  // Python answers with the figure, which takes it a moment to make; the rest is on screen by then.
  requestAnimationFrame(ready);
  return () => {
    deaf();
    shown.destroy();
  };
};

export default { initialize() {}, render };
