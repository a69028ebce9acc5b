/** The view in a page of its own: no kernel, no network. `TextView.to_html` writes such pages. */
import type { Choice, Live } from "./state";
import { View } from "./view";

interface Page {
  readonly live: Live;
  readonly choice: Choice;
  readonly height: number;
  /** The buffers in base64. */
  readonly data: string;
  readonly usual: string;
}

export function mountPage(page: Document): View {
  const text = page.querySelector(".iw-data")?.textContent ?? "";
  const mount = page.querySelector<HTMLElement>(".iw-mount");
  if (!mount) throw new Error("The page has no place for the view.");
  return mountView(mount, JSON.parse(text) as Page);
}

export function mountView(mount: HTMLElement, page: Page): View {
  const view = new View(mount, {
    choose: () => false,
    run: () => false,
    act: () => false,
    send: () => false,
  });
  view.setAlone();
  view.setHeight(page.height);
  view.setUsual(bytes(page.usual));
  view.setData(bytes(page.data));
  view.setChoice(page.choice);
  view.setLive(page.live);
  return view;
}

function bytes(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}
