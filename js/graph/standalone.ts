/** The view in a page of its own: no kernel, no network. `GraphView.to_html` writes such pages. */
import { answers } from "./check/state";
import type { Shared, Status } from "./store";
import { View } from "./view";

interface Page {
  readonly state: Shared & { readonly status: Status; readonly height: number };
  /** The graph's buffer in base64. */
  readonly data: string;
  /** What the model had answered when the page was written. */
  readonly answers?: Readonly<Record<string, unknown>>;
}

const NO_MODEL = "This page has no model behind it: open the notebook to ask.";

let ready = Number.NaN;

export function mountPage(page: Document): View {
  const text = page.querySelector(".iw-data")?.textContent ?? "";
  const mount = page.querySelector<HTMLElement>(".iw-mount");
  if (!mount) throw new Error("The page has no place for the graph.");
  return mountView(mount, JSON.parse(text) as Page);
}

export function mountView(mount: HTMLElement, { state, data, answers: kept = {} }: Page): View {
  const view = new View(mount, {
    shared: () => {},
    cancel: () => false,
    ask: () => false,
  });
  view.setHeight(state.height);
  view.setShared({
    selected: state.selected,
    pinned: state.pinned,
    groups: state.groups,
    labels: state.labels,
    threshold: state.threshold,
  });
  view.setStatus(state.status);
  view.setAnswers(answers((name) => (name === "unable" ? NO_MODEL : kept[name])));
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const start = performance.now();
  view.setData(bytes);
  const check = () => {
    if (view.root.dataset.iwState === "pending") requestAnimationFrame(check);
    else ready = performance.now() - start;
  };
  check();
  return view;
}

/** Milliseconds from handing over the data to the first complete frame. */
export function readyMs(): number {
  return ready;
}
