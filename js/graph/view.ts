/**
 * The whole view. It knows no host: the notebook widget and the page without a kernel both mount
 * it, give it data and state, and hear what the user changed.
 */
import { button, h } from "../shared/dom";
import { Actions } from "./actions";
import type { Binary } from "./buffer";
import type { Answers, Ask } from "./check/state";
import { Footer } from "./chrome/footer";
import { Help } from "./chrome/help";
import type { MenuItem } from "./chrome/menu";
import { Notice } from "./chrome/notice";
import { Outline } from "./chrome/outline";
import { Overview } from "./chrome/overview";
import { Tooltip } from "./chrome/tooltip";
import { Topbar } from "./chrome/topbar";
import { download, fileName, toPng, toSvg } from "./export";
import { Graph } from "./graph";
import { Keyboard } from "./keyboard";
import { Panel } from "./panel/panel";
import { Pointer } from "./pointer";
import { BASE, HOVER, LAYOUT, MARKS, Stage } from "./stage";
import { type Key, type Shared, type Status, Store } from "./store";

export interface ViewHost {
  /** The user changed something that Python sees. */
  shared(values: Partial<Shared>): void;
  /** Ask for the computation to stop; false where nobody can hear it. */
  cancel(what?: keyof Answers): boolean;
  /** Ask for something of the model behind the graph; false where nobody can hear it. */
  ask(ask: Ask): boolean;
}

export class View {
  readonly root = h("div", {
    class: "iw-root",
    attrs: { "data-iw-state": "pending", "data-jp-suppress-context-menu": true },
  });
  readonly store = new Store();
  private readonly abort = new AbortController();
  private readonly stage: Stage;
  private readonly actions = new Actions(this.store);
  private readonly panel: Panel;
  private readonly pointer: Pointer;
  private readonly tooltip: Tooltip;
  private readonly topbar: Topbar;
  private height = 500;

  constructor(parent: HTMLElement, host: ViewHost) {
    const { store, actions, root } = this;
    const { signal } = this.abort;
    parent.append(root);
    store.onShared = (values) => host.shared(values);

    this.stage = new Stage(store, root, signal);
    this.panel = new Panel(store, actions, signal, host);
    this.pointer = new Pointer(store, this.stage, actions, signal);
    this.tooltip = new Tooltip(store, this.stage.el, (i) => this.stage.locate(i));
    const toggleHelp = () => store.set({ help: !store.state.help });
    this.topbar = new Topbar(store, actions, {
      toggleHelp,
      reveal: (i) => this.stage.reveal(i),
      menu: () => this.menu(),
    });
    const outline = new Outline(store, actions, signal);
    const notice = new Notice(
      store,
      () => host.cancel(),
      () => this.mark(),
    );
    const help = new Help(store, toggleHelp);
    const keyboard = new Keyboard(store, this.stage, actions, {
      focusSearch: () => this.topbar.search.focus(),
      toggleHelp,
    });

    const { overlay } = this.stage;
    overlay.tabIndex = 0;
    overlay.setAttribute("role", "application");
    overlay.setAttribute(
      "aria-label",
      "Attribution graph. Arrow keys move between nodes, Enter selects, question mark explains.",
    );
    const overview = new Overview(this.stage, signal);
    this.stage.el.append(
      this.zoomButtons(),
      overview.el,
      notice.line,
      notice.screen,
      this.tooltip.el,
    );
    root.append(
      this.topbar.el,
      h("div", { class: "iw-body" }, this.stage.el, this.panel.el),
      new Footer(store).el,
      help.el,
      outline.live,
      outline.el,
    );

    this.pointer.onHover = (at) => this.tooltip.show(at !== null);
    this.stage.onPending = () => {
      root.dataset.iwState = "pending";
    };
    this.stage.onPaint = () => {
      overview.update();
      this.mark();
    };
    root.addEventListener("keydown", (e) => keyboard.handle(e, e.composedPath()[0] === overlay), {
      signal,
    });
    for (const type of ["pointermove", "pointerup", "click", "input", "keydown"]) {
      root.addEventListener(type, () => this.stage.flush(), { signal });
    }
    overlay.addEventListener("blur", () => store.set({ hover: -1 }), { signal });
    store.subscribe((changed) => this.react(changed));
    document.addEventListener("fullscreenchange", () => this.showFull(), { signal });
    Object.defineProperty(root, "iwView", { value: this, configurable: true });
    this.panel.render();
    this.mark();
  }

  // --- what the host says ------------------------------------------------------------------------

  setData(data: Binary): void {
    try {
      const graph = Graph.decode(data);
      this.store.receive({ graph, problem: "", hover: this.sameHover(graph) });
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      this.store.receive({ graph: null, problem, hover: -1 });
    }
  }

  /** Node numbers change with new data; what the pointer rests on does not. */
  private sameHover(graph: Graph | null): number {
    const { graph: before, hover } = this.store.state;
    if (!before || !graph || hover < 0) return -1;
    return graph.index.get(before.ids[hover]) ?? -1;
  }

  setShared(values: Partial<Shared>): void {
    this.store.receive(values);
  }

  setStatus(status: Status): void {
    this.store.receive({ status });
  }

  setAnswers(answers: Answers): void {
    this.store.receive({ answers });
  }

  setOffline(offline: boolean): void {
    this.store.receive({ offline });
  }

  setHeight(height: number): void {
    this.height = height;
    this.root.style.height = `${height}px`;
  }

  /** Where a node is on the canvas, in CSS pixels. */
  locate(id: string): { x: number; y: number } {
    return this.stage.locate(this.store.state.graph?.index.get(id) ?? -1);
  }

  toSvg(): string {
    return toSvg(this.store, this.stage);
  }

  destroy(): void {
    this.abort.abort();
    this.root.remove();
  }

  // --- what follows ------------------------------------------------------------------------------

  private react(changed: ReadonlySet<Key>): void {
    const { stage, store } = this;
    const has = (...keys: Key[]) => keys.some((key) => changed.has(key));
    if (has("graph")) {
      const fade = store.state.status.state === "computing";
      stage.setGraph(store.state.graph, this.before, fade);
      this.before = store.state.graph;
      this.tooltip.show(false);
    } else if (has("threshold", "groups", "pinned", "selected", "preview")) {
      // The kept set may differ; where it does not, the marks are enough.
      const same = store.kept.mask === this.mask && stage.shows(store.forced);
      if (same) stage.invalidate(MARKS);
      else if (has("threshold")) stage.move(LAYOUT);
      else stage.invalidate(LAYOUT);
    } else if (has("labels", "query", "names")) stage.invalidate(MARKS);
    else if (has("hover")) stage.invalidate(HOVER);
    this.mask = store.kept.mask;
    if (has("selected")) this.tooltip.show(false);
    if (has("selected", "query", "graph", "wide")) {
      // In a narrow cell the panel shows while it has news.
      const { query, wide } = store.state;
      const chosen = store.selected.length > 0 || query.trim() !== "" || wide !== "strongest";
      this.root.classList.toggle("iw-chosen", chosen);
    }
    if (has("status", "problem", "offline")) this.mark();
  }

  private before: Graph | null = null;
  private mask: Uint8Array | null = null;

  /** What tests and screenshot tools wait for. */
  private mark(): void {
    const { root, store } = this;
    const { graph, status, problem } = store.state;
    const drawn = graph !== null && graph.n > 0;
    root.dataset.iwState = problem
      ? "failed"
      : drawn && status.state !== "computing"
        ? "drawn"
        : status.state === "done"
          ? "empty"
          : status.state;
    root.classList.toggle("iw-blank", !drawn || problem !== "");
    root.dataset.iwStatus = status.state;
    root.dataset.iwNodes = String(store.kept.count);
    root.dataset.iwSelected = store.state.selected.join(" ");
  }

  private zoomButtons(): HTMLElement {
    const { stage } = this;
    return h(
      "div",
      { class: "iw-zoom", attrs: { role: "group", "aria-label": "Zoom" } },
      button("+", () => stage.zoom(1.4), {
        title: "Zoom in (+)",
        attrs: { "aria-label": "Zoom in" },
      }),
      button("−", () => stage.zoom(1 / 1.4), {
        title: "Zoom out (-)",
        attrs: { "aria-label": "Zoom out" },
      }),
      button("fit", () => stage.resetZoom(), { title: "Show all (0, or double-click)" }),
    );
  }

  private menu(): readonly MenuItem[] {
    const { store, actions, root } = this;
    const prompt = store.state.graph?.header.prompt ?? "";
    const empty = store.state.graph === null;
    const full = root.classList.contains("iw-full");
    const narrow = root.classList.contains("iw-noside");
    return [
      { text: full ? "leave full screen" : "full screen", run: () => this.toggleFull() },
      { text: "redo", disabled: !store.history.canRedo, run: () => actions.redo() },
      {
        text: "box select",
        title: "The next drag selects all nodes in a box (Alt-drag)",
        disabled: empty,
        run: () => {
          this.pointer.lassoMode = true;
          actions.say("Drag a box over the nodes to select.");
        },
      },
      ...this.panel.acting.menu(),
      {
        text: store.state.names ? "hide names" : "show names",
        title: "Names of strong nodes that you have not chosen",
        run: () => store.set({ names: !store.state.names }),
      },
      {
        text: narrow ? "show panel" : "hide panel",
        run: () => root.classList.toggle("iw-noside"),
      },
      {
        text: "save SVG",
        disabled: empty,
        run: () =>
          download(new Blob([this.toSvg()], { type: "image/svg+xml" }), fileName(prompt, "svg")),
      },
      {
        text: "save PNG",
        disabled: empty,
        run: () => {
          toPng(store, this.stage)
            .then((blob) => download(blob, fileName(prompt, "png")))
            .catch((error: unknown) => actions.say(`The picture was not saved: ${String(error)}`));
        },
      },
    ];
  }

  private toggleFull(): void {
    const { root } = this;
    if (document.fullscreenElement) {
      void document.exitFullscreen();
      return;
    }
    if (root.classList.contains("iw-full")) {
      this.setFull(false);
      return;
    }
    // Some hosts forbid full screen: then the view covers the page instead.
    const request = root.requestFullscreen?.();
    if (request) request.then(() => this.setFull(true)).catch(() => this.setFull(true));
    else this.setFull(true);
  }

  private showFull(): void {
    if (!document.fullscreenElement) this.setFull(false);
  }

  private setFull(on: boolean): void {
    this.root.classList.toggle("iw-full", on);
    this.root.style.height = on ? "" : `${this.height}px`;
    this.stage.invalidate(BASE);
  }
}
