/** The side panel: rebuilt when what it shows has changed, not when the pointer moves. */
import { append, h } from "../../shared/dom";
import type { Actions } from "../actions";
import { Acting, type Model } from "../check/acting";
import type { Key, Store } from "../store";
import { groupView, severalView } from "./many";
import type { NameField } from "./name";
import { nodeView } from "./node";
import { foundView, overviewView } from "./overview";

const SHOWN: readonly Key[] = [
  "graph",
  "selected",
  "pinned",
  "groups",
  "labels",
  "measure",
  "grouping",
  "query",
  "tool",
  "wide",
];

export class Panel {
  readonly el = h("aside", { class: "iw-side", attrs: { "aria-label": "Details" } });
  /** How far lists are unfolded, by what they list. */
  readonly unfolded = new Map<string, number>();
  name: NameField | null = null;
  /** What asks the model, under the head of the panel. */
  readonly acting: Acting;
  private showing = "";
  private later: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly store: Store,
    readonly actions: Actions,
    signal: AbortSignal,
    model: Model = { ask: () => false, cancel: () => false },
  ) {
    this.acting = new Acting({ store, actions, model }, signal);
    actions.startRename = () => this.name?.open();
    store.subscribe((changed) => {
      if (SHOWN.some((key) => changed.has(key))) this.render();
      else if (changed.has("threshold")) {
        // The slider redraws the graph at once; the lists follow when it rests.
        clearTimeout(this.later);
        this.later = setTimeout(() => this.render(), 120);
      }
    });
    signal.addEventListener("abort", () => clearTimeout(this.later));
  }

  render(): void {
    // Links that arrive while someone types a name must not take the field away.
    if (this.name?.editing || this.acting.typing) return;
    this.name = null;
    const { store } = this;
    const group = store.openGroup;
    const key = `${store.selected.join(" ")}/${group?.at ?? ""}/${store.state.query}/${store.state.tool}/${store.state.wide}`;
    const same = key === this.showing;
    this.showing = key;

    const scroll = this.el.scrollTop;
    const root = this.el.getRootNode() as Document | ShadowRoot;
    const active = root.activeElement;
    const focused =
      active instanceof HTMLElement && this.el.contains(active) && active.matches(":focus-visible")
        ? active.dataset.node
        : undefined;

    const inner = h("div", { class: "iw-inner" });
    append(inner, this.content(group));
    this.el.replaceChildren(inner);
    this.el.scrollTop = same ? scroll : 0;
    if (focused !== undefined) {
      const rows = [...this.el.querySelectorAll<HTMLElement>(".iw-row[data-node]")];
      const again = rows.find((row) => row.dataset.node === focused) ?? rows[0];
      again?.focus({ preventScroll: true });
    }
  }

  private content(group: Store["openGroup"]) {
    const { store } = this;
    if (group && (group.nodes.length > 1 || store.selected.length > 1)) {
      return groupView(this, group);
    }
    if (store.selected.length > 1) return severalView(this, store.selected);
    if (store.primary >= 0) return nodeView(this, store.primary);
    if (store.state.query.trim()) return foundView(this);
    return overviewView(this);
  }
}
