/** Nearest drawn node to a point: a uniform grid, linear to build, a handful of cells to ask. */
export class Grid {
  private readonly start: Uint32Array;
  private readonly items: Uint32Array;
  private readonly columns: number;
  private readonly rows: number;

  constructor(
    private readonly x: Float32Array,
    private readonly y: Float32Array,
    shown: Uint8Array,
    width: number,
    height: number,
    private readonly cell = 24,
  ) {
    this.columns = Math.max(1, Math.ceil(width / cell));
    this.rows = Math.max(1, Math.ceil(height / cell));
    this.start = new Uint32Array(this.columns * this.rows + 1);
    let n = 0;
    for (let i = 0; i < x.length; i++) {
      if (!shown[i]) continue;
      this.start[this.key(x[i], y[i]) + 1]++;
      n++;
    }
    for (let k = 1; k < this.start.length; k++) this.start[k] += this.start[k - 1];
    this.items = new Uint32Array(n);
    const next = this.start.slice();
    for (let i = 0; i < x.length; i++) {
      if (shown[i]) this.items[next[this.key(x[i], y[i])]++] = i;
    }
  }

  private key(x: number, y: number): number {
    const column = Math.min(this.columns - 1, Math.max(0, Math.floor(x / this.cell)));
    const row = Math.min(this.rows - 1, Math.max(0, Math.floor(y / this.cell)));
    return row * this.columns + column;
  }

  /** The node nearest to (x, y) within `radius`, or −1. */
  nearest(x: number, y: number, radius: number): number {
    let best = -1;
    let distance = radius * radius;
    this.visit(x - radius, y - radius, x + radius, y + radius, (i) => {
      const d = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
      if (d <= distance) {
        // Equal distances go to the lower index, so that the answer does not depend on cells.
        if (d < distance || best < 0 || i < best) best = i;
        distance = d;
      }
    });
    return best;
  }

  within(x0: number, y0: number, x1: number, y1: number): number[] {
    const found: number[] = [];
    this.visit(x0, y0, x1, y1, (i) => {
      if (this.x[i] >= x0 && this.x[i] <= x1 && this.y[i] >= y0 && this.y[i] <= y1) found.push(i);
    });
    return found;
  }

  private visit(x0: number, y0: number, x1: number, y1: number, see: (i: number) => void): void {
    const clampC = (v: number) =>
      Math.min(this.columns - 1, Math.max(0, Math.floor(v / this.cell)));
    const clampR = (v: number) => Math.min(this.rows - 1, Math.max(0, Math.floor(v / this.cell)));
    const [c0, c1, r0, r1] = [clampC(x0), clampC(x1), clampR(y0), clampR(y1)];
    for (let r = r0; r <= r1; r++) {
      for (let c = c0; c <= c1; c++) {
        const k = r * this.columns + c;
        for (let j = this.start[k]; j < this.start[k + 1]; j++) see(this.items[j]);
      }
    }
  }
}
