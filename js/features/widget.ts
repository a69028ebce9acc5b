/** The anywidget side: traits in, messages out; the view knows neither. */
import type { AnyModel, Render } from "@anywidget/types";
import { drawn, listen, sender } from "../shared/host";
import type { Firings, Host, Live, Opened, Page, Proposals, Told } from "./state";
import { View } from "./view";

interface Traits extends Record<string, unknown> {
  live: Partial<Live>;
  page: Page | Record<string, never>;
  card: Opened | Record<string, never>;
  other: Opened | Record<string, never>;
  firing: Firings | Record<string, never>;
  proposals: Proposals | Record<string, never>;
  told: Told | Record<string, never>;
  height: number;
}

/** An empty dictionary is a trait that nobody has filled. */
function filled<T>(model: AnyModel<Traits>, name: keyof Traits & string): T | null {
  const value = model.get(name) as object;
  return Object.keys(value).length > 0 ? (value as T) : null;
}

const render: Render<Traits> = ({ model, el }) => {
  let view: View | null = null;
  const send = sender(model, (gone) => view?.setOffline(gone));
  const host: Host = { ask: send };
  view = new View(el, host);
  const shown = view;
  // The second part of a card waits until the first is on screen.
  const first = (opened: Opened | null) => {
    if (opened?.card?.pending) drawn(() => send({ type: "drawn", seq: opened.seq }));
    return opened;
  };
  const handlers: Record<string, () => void> = {
    "change:live": () => shown.setLive(model.get("live")),
    "change:page": () => shown.setPage(filled(model, "page")),
    "change:card": () => shown.setCard(first(filled(model, "card"))),
    "change:other": () => shown.setOther(first(filled(model, "other"))),
    "change:firing": () => shown.setFirings(filled(model, "firing")),
    "change:proposals": () => shown.setProposals(filled(model, "proposals")),
    "change:told": () => shown.setTold(filled(model, "told")),
    "change:height": () => shown.setHeight(model.get("height")),
    comm_live_update: () => void send({ type: "ping" }),
  };
  const deaf = listen(model, handlers);
  for (const [name, handler] of Object.entries(handlers)) {
    if (name.startsWith("change:")) handler();
  }
  // A view of a kernel that is gone finds out now; the others fill their list.
  requestAnimationFrame(() => {
    if (send({ type: "ping" })) shown.begin();
  });
  return () => {
    deaf();
    shown.destroy();
  };
};

export default { initialize() {}, render };
