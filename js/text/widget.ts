/** The anywidget side: traits in, traits and messages out; the view knows neither. */
import type { Render } from "@anywidget/types";
import { choose, listen, sender } from "../shared/host";
import type { Binary } from "./buffer";
import type { Choice, Host, Live } from "./state";
import { View } from "./view";

interface Traits extends Record<string, unknown> {
  live: Live;
  data: Binary;
  usual: Binary;
  selected: [number, number][];
  tokens: number[];
  layers: number[];
  arrange: Choice["arrange"];
  rows: number;
  height: number;
}

const CHOICE = ["selected", "tokens", "layers", "arrange", "rows"] as const;

const render: Render<Traits> = ({ model, el }) => {
  let view: View | null = null;
  const send = sender(model, (gone) => view?.setOffline(gone));
  const host: Host = {
    act: (what) => send({ type: "do", what }),
    run: (prompt) => send({ type: "run", prompt }),
    send: (to) => send({ type: "send", to }),
    choose: (values) => choose(model, send, values),
  };
  view = new View(el, host);
  const shown = view;
  const choice = () =>
    shown.setChoice(Object.fromEntries(CHOICE.map((name) => [name, model.get(name)])));
  const handlers: Record<string, () => void> = {
    "change:live": () => shown.setLive(model.get("live")),
    "change:data": () => shown.setData(model.get("data")),
    "change:usual": () => shown.setUsual(model.get("usual")),
    "change:height": () => shown.setHeight(model.get("height")),
    comm_live_update: () => void send({ type: "ping" }),
  };
  for (const name of CHOICE) handlers[`change:${name}`] = choice;
  const deaf = listen(model, handlers);
  shown.setHeight(model.get("height"));
  choice();
  shown.setUsual(model.get("usual"));
  shown.setData(model.get("data"));
  shown.setLive(model.get("live"));
  // A view of a kernel that is gone finds out now.
  requestAnimationFrame(() => void send({ type: "ping" }));
  return () => {
    deaf();
    shown.destroy();
  };
};

export default { initialize() {}, render };
