/**
 * The plotly figure inside the view. plotly draws it, and the user restyles it from Python; what
 * is ours is its place, its size, and its end: plotly leaves its listeners on the model when a
 * view goes (plotly 7.1), and the next update then fails on a page that has cleared an output.
 */
import type { Host as Widgets } from "@anywidget/types";
import { h } from "./dom";

type Listener = (...args: unknown[]) => void;

interface Listening {
  get(name: string): unknown;
  on(name: string, callback: Listener, context?: unknown): unknown;
  off(name: string, callback: Listener): unknown;
}

export interface Models {
  get_model(id: string): Promise<unknown>;
}

interface Plot extends HTMLElement {
  /** plotly's own answer to a new window size, with `responsive` in the figure's config. */
  _responsiveChartHandler?: () => void;
}

const PREFIX = "anywidget:";
const PATIENCE_MS = 400;
const ASK_EVERY = 5;
/** A figure whose user has taken `responsive` away keeps the size it was drawn in. */
const FRAMES = 300;

/** Mounting takes turns: each has to know which listeners are its own. */
let turn: Promise<void> = Promise.resolve();

export class Charts {
  readonly el = h("div", { class: "iw-charts", attrs: { "aria-label": "Charts", role: "img" } });
  private readonly note = h("p", { class: "iw-chartnote" });
  private readonly abort = new AbortController();
  private mounted = "";
  private failed = false;
  private frame = 0;

  constructor() {
    this.el.append(this.note);
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.el);
    this.abort.signal.addEventListener("abort", () => observer.disconnect());
  }

  /** What stands where the charts will be. */
  say(sentence: string): void {
    if (!this.mounted && !this.failed) this.note.textContent = sentence;
  }

  async mount(ref: string, widgets: Widgets, models: Models, ask: () => void): Promise<void> {
    if (this.mounted === ref) return;
    this.mounted = ref;
    this.note.textContent = "Drawing the charts …";
    const mine = turn.then(() => this.draw(ref, widgets, models, ask));
    turn = mine.catch(() => {});
    try {
      await mine;
      this.note.remove();
    } catch (error) {
      this.mounted = "";
      this.failed = true;
      this.note.textContent = `The charts cannot be drawn here: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /**
   * The figure's model once it holds the figure. On a busy machine a page may meet it earlier: it
   * opens empty, and a page that loads all states from the kernel replaces it.
   */
  private async filled(ref: string, models: Models, ask: () => void): Promise<Listening | null> {
    for (let tries = 1; !this.abort.signal.aborted; tries++) {
      const model = (await models.get_model(ref.slice(PREFIX.length))) as Listening;
      const data = model.get("_widget_data");
      if (Array.isArray(data) && data.length > 0) return model;
      if (tries % ASK_EVERY === 0) ask();
      await new Promise((later) => setTimeout(later, PATIENCE_MS));
    }
    return null;
  }

  private async draw(
    ref: string,
    widgets: Widgets,
    models: Models,
    ask: () => void,
  ): Promise<void> {
    const { signal } = this.abort;
    const model = await this.filled(ref, models, ask);
    if (!model || signal.aborted) return;
    const plot: Plot = h("div", { class: "iw-plot" });
    this.el.append(plot);
    const heard: [string, Listener][] = [];
    const { on } = model;
    model.on = function (this: unknown, name, callback, context) {
      if (name.startsWith("change:_py2js")) heard.push([name, callback]);
      return on.call(this, name, callback, context);
    };
    try {
      const widget = await widgets.getWidget(ref);
      await widget.render({ el: plot, signal });
    } finally {
      model.on = on;
    }
    signal.addEventListener("abort", () => {
      for (const [name, callback] of heard) model.off(name, callback);
    });
    // plotly starts with a height of its own; the next size is the one of our box.
    let frames = 0;
    await new Promise<void>((drawn) => {
      const look = () => {
        if (plot._responsiveChartHandler || signal.aborted || frames++ > FRAMES) drawn();
        else this.frame = requestAnimationFrame(look);
      };
      look();
    });
    this.plot = plot;
    this.resize();
  }

  private plot: Plot | null = null;

  private resize(): void {
    if (this.el.clientWidth > 0) this.plot?._responsiveChartHandler?.();
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    this.abort.abort();
  }
}
