/**
 * Zoom and pan. The layout is computed anew for every zoom, so that cells unfold as they grow;
 * panning only shifts it. Content is at least as large as the frame and never leaves it.
 */
export const MIN_COLUMN = 26;
export const MIN_ROW = 9;
const MAX_ZOOM = 24;

export class Camera {
  zoom = 1;
  x = 0;
  y = 0;
  private frameW = 1;
  private frameH = 1;
  private baseW = 1;
  private baseH = 1;
  private fresh = true;

  /** The frame that shows the content, and how much room the content needs at least. */
  resize(width: number, height: number, columns: number, rows: number): void {
    const ratioX = this.fresh ? 0 : (this.frameW / 2 - this.x) / this.width;
    const ratioY = this.fresh ? 0 : (this.frameH / 2 - this.y) / this.height;
    this.frameW = Math.max(1, width);
    this.frameH = Math.max(1, height);
    this.baseW = Math.max(this.frameW, columns * MIN_COLUMN);
    this.baseH = Math.max(this.frameH, rows * MIN_ROW);
    this.zoom = Math.max(this.zoom, this.minimum);
    if (this.fresh) {
      this.reset();
      this.fresh = false;
    } else {
      this.x = this.frameW / 2 - ratioX * this.width;
      this.y = this.frameH / 2 - ratioY * this.height;
      this.clamp();
    }
  }

  get width(): number {
    return this.baseW * this.zoom;
  }

  get height(): number {
    return this.baseH * this.zoom;
  }

  /** Small enough to show all of it. */
  private get minimum(): number {
    return Math.min(1, Math.max(this.frameW / this.baseW, this.frameH / this.baseH));
  }

  /** Marks grow slower than distances. */
  get scale(): number {
    return Math.min(2.2, Math.max(0.7, this.zoom ** 0.35));
  }

  get overflows(): boolean {
    return this.width > this.frameW + 1 || this.height > this.frameH + 1;
  }

  /** Part of the content that shows, as fractions: for the overview. */
  get window(): { x0: number; x1: number; y0: number; y1: number } {
    return {
      x0: -this.x / this.width,
      x1: (this.frameW - this.x) / this.width,
      y0: -this.y / this.height,
      y1: (this.frameH - this.y) / this.height,
    };
  }

  /** The outputs stand at the last token and on top: start there. */
  reset(): void {
    this.zoom = 1;
    this.x = this.frameW - this.width;
    this.y = 0;
  }

  /** Keeps the point of the content under (px, py) where it is. */
  zoomBy(factor: number, px: number, py: number): boolean {
    const zoom = Math.min(MAX_ZOOM, Math.max(this.minimum, this.zoom * factor));
    if (zoom === this.zoom) return false;
    const ratio = zoom / this.zoom;
    this.zoom = zoom;
    this.x = px - (px - this.x) * ratio;
    this.y = py - (py - this.y) * ratio;
    this.clamp();
    return true;
  }

  panBy(dx: number, dy: number): boolean {
    const [x, y] = [this.x, this.y];
    this.x += dx;
    this.y += dy;
    this.clamp();
    return this.x !== x || this.y !== y;
  }

  /** Pans just enough to show a point of the content. */
  reveal(x: number, y: number, margin = 30): boolean {
    const [sx, sy] = [x + this.x, y + this.y];
    const dx =
      sx < margin ? margin - sx : sx > this.frameW - margin ? this.frameW - margin - sx : 0;
    const dy =
      sy < margin ? margin - sy : sy > this.frameH - margin ? this.frameH - margin - sy : 0;
    return dx !== 0 || dy !== 0 ? this.panBy(dx, dy) : false;
  }

  private clamp(): void {
    const within = (at: number, size: number, frame: number) =>
      size <= frame ? (frame - size) / 2 : Math.min(0, Math.max(frame - size, at));
    this.x = within(this.x, this.width, this.frameW);
    this.y = within(this.y, this.height, this.frameH);
  }
}
