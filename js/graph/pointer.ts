/** Mouse, pen and touch on the stage. */
import type { Actions } from "./actions";
import { BASE, HOVER, type Stage } from "./stage";
import type { Store } from "./store";

const CLICK_SLACK = 4;

interface Drag {
  readonly x: number;
  readonly y: number;
  lastX: number;
  lastY: number;
  moved: boolean;
  readonly lasso: boolean;
}

export class Pointer {
  /** Set by the lasso button: the next drag selects instead of panning. */
  lassoMode = false;
  onLassoMode: (on: boolean) => void = () => {};
  /** Position for the tooltip, or null when there is nothing to tell. */
  onHover: (at: { x: number; y: number } | null) => void = () => {};
  private drag: Drag | null = null;

  constructor(
    private readonly store: Store,
    private readonly stage: Stage,
    private readonly actions: Actions,
    signal: AbortSignal,
  ) {
    const canvas = stage.overlay;
    canvas.addEventListener("pointermove", (e) => this.move(e), { signal });
    canvas.addEventListener("pointerdown", (e) => this.down(e), { signal });
    canvas.addEventListener("pointerup", (e) => this.up(e), { signal });
    canvas.addEventListener("pointercancel", () => this.end(), { signal });
    canvas.addEventListener("pointerleave", (e) => this.leave(e), { signal });
    canvas.addEventListener("dblclick", () => stage.resetZoom(), { signal });
    canvas.addEventListener("wheel", (e) => this.wheel(e), { signal, passive: false });
  }

  private at(e: MouseEvent): { x: number; y: number } {
    const box = this.stage.overlay.getBoundingClientRect();
    return { x: e.clientX - box.left, y: e.clientY - box.top };
  }

  private move(e: PointerEvent): void {
    const { x, y } = this.at(e);
    if (this.drag) {
      this.dragTo(e, x, y);
      return;
    }
    // Shift holds the hover still, so that the pointer can leave for the panel.
    if (e.shiftKey && this.store.state.hover >= 0) {
      this.store.set({ frozen: true });
      return;
    }
    this.store.set({ frozen: false });
    this.hover(x, y);
  }

  private hover(x: number, y: number): void {
    const hit = this.stage.hit(x, y);
    const node = hit && "node" in hit ? hit.node : -1;
    const single = hit && "tag" in hit && hit.tag.nodes.length === 1 ? hit.tag.nodes[0] : node;
    this.stage.overlay.style.cursor = hit ? "pointer" : this.lassoMode ? "crosshair" : "default";
    this.store.set({ hover: single });
    this.onHover(single >= 0 ? { x, y } : null);
  }

  private down(e: PointerEvent): void {
    if (e.button !== 0) return;
    const { x, y } = this.at(e);
    const lasso = e.altKey || this.lassoMode;
    this.drag = { x, y, lastX: x, lastY: y, moved: false, lasso };
  }

  private dragTo(e: PointerEvent, x: number, y: number): void {
    const { drag, stage } = this;
    if (!drag) return;
    if (!drag.moved) {
      if (Math.hypot(x - drag.x, y - drag.y) < CLICK_SLACK) return;
      drag.moved = true;
      stage.overlay.setPointerCapture(e.pointerId);
      this.store.set({ hover: -1 });
      this.onHover(null);
    }
    if (drag.lasso) {
      stage.lasso = { x0: drag.x, y0: drag.y, x1: x, y1: y };
      stage.invalidate(HOVER);
    } else if (stage.camera.panBy(x - drag.lastX, y - drag.lastY)) {
      stage.overlay.style.cursor = "grabbing";
      stage.move(BASE);
    }
    drag.lastX = x;
    drag.lastY = y;
  }

  private up(e: PointerEvent): void {
    const { drag, stage } = this;
    if (!drag) return;
    const { x, y } = this.at(e);
    this.end();
    const add = e.ctrlKey || e.metaKey || e.shiftKey;
    if (!drag.moved) {
      this.click(x, y, add);
    } else if (drag.lasso) {
      const nodes = stage.within(drag.x, drag.y, x, y);
      const before = add ? this.store.selected : [];
      this.actions.select([...before, ...nodes.filter((i) => !before.includes(i))]);
      this.lassoMode = false;
      this.onLassoMode(false);
    }
  }

  private click(x: number, y: number, add: boolean): void {
    const hit = this.stage.hit(x, y);
    if (!hit) {
      if (!add) this.actions.select([]);
    } else if ("more" in hit) {
      const { row, column } = hit.more;
      const { graph } = this.store.state;
      const layers = graph?.layers ?? 0;
      const layer = row === 0 ? "kind:token" : row > layers ? "kind:output" : `layer:${row - 1}`;
      const token = graph?.token(column) ?? "";
      this.store.set({ selected: [], query: `${layer} token:${quote(token)}` });
    } else if ("tag" in hit) {
      this.actions.select(
        hit.tag.style === "group" ? this.members(hit.tag.box.key) : hit.tag.nodes,
      );
    } else if (add) {
      this.actions.toggle(hit.node);
    } else {
      this.actions.select([hit.node]);
    }
  }

  /** A pill shows the members in view; clicking it selects all of them. */
  private members(key: string): readonly number[] {
    const at = Number(key.replace("group ", ""));
    return this.store.groups.find((group) => group.at === at)?.nodes ?? [];
  }

  private leave(e: PointerEvent): void {
    if (this.drag?.moved || e.shiftKey) return;
    this.drag = null;
    this.store.set({ hover: -1, frozen: false });
    this.onHover(null);
  }

  private end(): void {
    this.drag = null;
    this.stage.overlay.style.cursor = "default";
    if (this.stage.lasso) {
      this.stage.lasso = null;
      this.stage.invalidate(HOVER);
    }
  }

  /** Zooms with Ctrl, or once the graph has the focus; otherwise the page scrolls on. */
  private wheel(e: WheelEvent): void {
    const { overlay } = this.stage;
    const focused = (overlay.getRootNode() as Document | ShadowRoot).activeElement === overlay;
    if (!e.ctrlKey && !e.metaKey && !focused) return;
    const { x, y } = this.at(e);
    const pixels = e.deltaMode === 1 ? 16 : e.deltaMode === 2 ? 400 : 1;
    if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
      const sideways = (e.deltaX || e.deltaY) * pixels;
      if (!this.stage.camera.panBy(-sideways, 0)) return;
      e.preventDefault();
      this.stage.move(BASE);
      return;
    }
    e.preventDefault();
    this.onHover(null);
    this.stage.zoom(Math.exp(-e.deltaY * pixels * 0.002), x, y);
  }
}

function quote(text: string): string {
  return /[\s:]/.test(text) ? `"${text}"` : text;
}
