/**
 * Where the frame stands in a drawing wider than it: a strip of column densities with a window to
 * drag. Out of sight while everything fits.
 */
import { h } from "../../shared/dom";
import { BASE, type Stage } from "../stage";

export class Overview {
  readonly el = h("div", { class: "iw-overview", attrs: { hidden: true, "aria-hidden": "true" } });
  private readonly bars = h("div", { class: "iw-overbars" });
  private readonly window = h("div", { class: "iw-overwindow" });
  private counts: Float32Array | null = null;
  private dragging = false;

  constructor(
    private readonly stage: Stage,
    signal: AbortSignal,
  ) {
    this.el.append(this.bars, this.window);
    this.el.addEventListener(
      "pointerdown",
      (e) => {
        this.dragging = true;
        this.el.setPointerCapture(e.pointerId);
        this.go(e);
      },
      { signal },
    );
    this.el.addEventListener("pointermove", (e) => this.dragging && this.go(e), { signal });
    const end = () => {
      this.dragging = false;
    };
    this.el.addEventListener("pointerup", end, { signal });
    this.el.addEventListener("pointercancel", end, { signal });
  }

  /** After every frame. */
  update(): void {
    const { camera, margins } = this.stage;
    this.el.hidden = !camera.overflows || !margins;
    if (this.el.hidden || !margins) return;
    const { x0, x1 } = camera.window;
    const percent = (v: number) => `${(Math.min(1, Math.max(0, v)) * 100).toFixed(2)}%`;
    this.el.style.left = `${margins.left}px`;
    this.el.style.right = `${margins.right}px`;
    this.window.style.left = percent(x0);
    this.window.style.width = percent(x1 - x0);
    this.showBars();
  }

  private showBars(): void {
    const counts = this.stage.density;
    if (!counts || (this.counts && same(counts, this.counts))) return;
    this.counts = counts;
    const most = Math.max(1, ...counts);
    // A hundred bars say as much as a thousand.
    const step = Math.ceil(counts.length / 120);
    const bars: HTMLElement[] = [];
    for (let c = 0; c < counts.length; c += step) {
      const tall = Math.max(...counts.subarray(c, c + step)) / most;
      bars.push(h("i", { style: { height: `${Math.round(8 * Math.sqrt(tall))}px` } }));
    }
    this.bars.replaceChildren(...bars);
  }

  private go(e: PointerEvent): void {
    const box = this.el.getBoundingClientRect();
    const { camera } = this.stage;
    const { x0, x1 } = camera.window;
    const middle = (e.clientX - box.left) / box.width;
    if (camera.panBy(((x0 + x1) / 2 - middle) * camera.width, 0)) this.stage.move(BASE);
  }
}

function same(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((v, k) => v === b[k]);
}
