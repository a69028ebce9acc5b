/** The anywidget side: traits and messages; the view knows neither. */
import type { Render } from "@anywidget/types";
import { choose, listen, sender } from "../shared/host";
import type { Direction, Host, Live, PanelId, Result } from "./state";
import { View } from "./view";

interface Traits extends Record<string, unknown> {
  live: Live;
  values: DataView;
  result: Result | Record<string, never>;
  shown: PanelId;
  direction: Direction;
  selected: string[];
  height: number;
}

/** A copy: the message's buffer may begin anywhere. */
function floats(view: DataView | undefined): Float32Array {
  if (!view?.byteLength) return new Float32Array();
  return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

const render: Render<Traits> = ({ model, el }) => {
  let view: View | null = null;
  const send = sender(model, (gone) => view?.setOffline(gone));
  const host: Host = {
    act: (what) => send({ type: "do", what }),
    choose: (values) => choose(model, send, values),
  };
  view = new View(el, host);
  const shown = view;
  const receive = () => shown.receive(model.get("live"), floats(model.get("values")));
  const result = () => {
    const value = model.get("result");
    if ("ids" in value) shown.setResult(value as Result);
  };
  const chosen = () =>
    shown.setChoice(model.get("shown"), model.get("direction"), model.get("selected"));
  const handlers: Record<string, () => void> = {
    "change:live": receive,
    "change:result": result,
    "change:shown": chosen,
    "change:direction": chosen,
    "change:selected": chosen,
    "change:height": () => shown.setHeight(model.get("height")),
    comm_live_update: () => void send({ type: "ping" }),
  };
  const deaf = listen(model, handlers);
  shown.setHeight(model.get("height"));
  receive();
  chosen();
  result();
  // A view of a kernel that is gone finds out now.
  requestAnimationFrame(() => void send({ type: "ping" }));
  return () => {
    deaf();
    shown.destroy();
  };
};

export default { initialize() {}, render };
