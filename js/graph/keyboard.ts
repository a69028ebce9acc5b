/**
 * Keys of the focused graph. Every key that is used stays here: JupyterLab has commands on bare
 * keys. Nothing listens outside the widget.
 */
import type { Actions } from "./actions";
import type { Stage } from "./stage";
import type { Store } from "./store";

export interface KeyTargets {
  focusSearch(): void;
  toggleHelp(): void;
}

const ARROWS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export class Keyboard {
  constructor(
    private readonly store: Store,
    private readonly stage: Stage,
    private readonly actions: Actions,
    private readonly targets: KeyTargets,
  ) {}

  /** Keys of the whole widget; `onStage` where the graph itself has the focus. */
  handle(e: KeyboardEvent, onStage: boolean): void {
    const target = e.composedPath()[0];
    const typing =
      target instanceof HTMLInputElement && target.type !== "range" && target.type !== "checkbox";
    const used =
      this.undoKeys(e, typing) ||
      (!typing && !e.ctrlKey && !e.metaKey && !e.altKey && this.plain(e, onStage));
    if (used) e.preventDefault();
    // Typing a name must not run a notebook command either.
    if (used || typing || onStage) e.stopPropagation();
  }

  private undoKeys(e: KeyboardEvent, typing: boolean): boolean {
    if (typing || !(e.ctrlKey || e.metaKey)) return false;
    const key = e.key.toLowerCase();
    if (key === "z") e.shiftKey ? this.actions.redo() : this.actions.undo();
    else if (key === "y") this.actions.redo();
    else return false;
    return true;
  }

  private plain(e: KeyboardEvent, onStage: boolean): boolean {
    const { store, stage, actions, targets } = this;
    const arrow = ARROWS[e.key];
    if (arrow) {
      if (!onStage) return false;
      this.walk(arrow[0], arrow[1]);
      return true;
    }
    const { hover } = store.state;
    switch (e.key) {
      case "Enter":
      case " ":
        if (!onStage) return false;
        if (hover >= 0) e.shiftKey ? actions.toggle(hover) : actions.select([hover]);
        return true;
      case "Escape":
        if (store.state.help) targets.toggleHelp();
        else if (hover >= 0) store.set({ hover: -1, frozen: false });
        else if (store.state.query) store.set({ query: "" });
        else if (store.selected.length > 0) actions.select([]);
        else return false;
        return true;
      case "p":
        actions.pin(store.selected.length > 0 ? store.selected : hover >= 0 ? [hover] : []);
        return true;
      case "g":
        actions.group();
        return true;
      case "r":
      case "F2":
        actions.startRename();
        return true;
      case "/":
        targets.focusSearch();
        return true;
      case "?":
        targets.toggleHelp();
        return true;
      case "+":
      case "=":
        stage.zoom(1.3);
        return true;
      case "-":
        stage.zoom(1 / 1.3);
        return true;
      case "0":
        stage.resetZoom();
        return true;
      default:
        return false;
    }
  }

  private walk(dx: number, dy: number): void {
    const { store, stage, actions } = this;
    const { graph, hover, labels } = store.state;
    if (!graph) return;
    let from = hover >= 0 ? hover : store.primary;
    if (from < 0) from = graph.byInfluence.find((i) => store.kept.mask[i] === 1) ?? -1;
    else from = stage.neighbour(from, dx, dy);
    if (from < 0) return;
    store.set({ hover: from });
    stage.reveal(from);
    actions.say(graph.spoken(from, labels));
  }
}
