import { font, type Paint, type Pen, type Surface, type TextStyle } from "./surface";

/** Draws on a 2D context, one path per batch. */
export class CanvasSurface implements Surface {
  constructor(private readonly ctx: CanvasRenderingContext2D) {}

  segments(xy: readonly number[], pen: Pen): void {
    const { ctx } = this;
    ctx.beginPath();
    for (let i = 0; i < xy.length; i += 4) {
      ctx.moveTo(xy[i], xy[i + 1]);
      ctx.lineTo(xy[i + 2], xy[i + 3]);
    }
    this.stroke(pen);
  }

  curves(xy: readonly number[], pen: Pen): void {
    const { ctx } = this;
    ctx.beginPath();
    for (let i = 0; i < xy.length; i += 4) {
      const middle = (xy[i + 1] + xy[i + 3]) / 2;
      ctx.moveTo(xy[i], xy[i + 1]);
      ctx.bezierCurveTo(xy[i], middle, xy[i + 2], middle, xy[i + 2], xy[i + 3]);
    }
    this.stroke(pen);
  }

  circles(xyr: readonly number[], paint: Paint): void {
    if (xyr.length > STAMP_FROM) {
      this.stamp("circles", xyr, paint);
      return;
    }
    const { ctx } = this;
    ctx.beginPath();
    for (let i = 0; i < xyr.length; i += 3) {
      ctx.moveTo(xyr[i] + xyr[i + 2], xyr[i + 1]);
      ctx.arc(xyr[i], xyr[i + 1], xyr[i + 2], 0, 2 * Math.PI);
    }
    this.paint(paint);
  }

  squares(xyr: readonly number[], paint: Paint): void {
    const { ctx } = this;
    ctx.beginPath();
    for (let i = 0; i < xyr.length; i += 3) {
      const r = xyr[i + 2];
      ctx.roundRect(xyr[i] - r, xyr[i + 1] - r, 2 * r, 2 * r, 1.2);
    }
    this.paint(paint);
  }

  diamonds(xyr: readonly number[], paint: Paint): void {
    if (xyr.length > STAMP_FROM) {
      this.stamp("diamonds", xyr, paint);
      return;
    }
    const { ctx } = this;
    ctx.beginPath();
    for (let i = 0; i < xyr.length; i += 3) {
      const [x, y, r] = [xyr[i], xyr[i + 1], xyr[i + 2]];
      ctx.moveTo(x, y - r);
      ctx.lineTo(x + r, y);
      ctx.lineTo(x, y + r);
      ctx.lineTo(x - r, y);
      ctx.closePath();
    }
    this.paint(paint);
  }

  pill(x: number, y: number, width: number, height: number, paint: Paint): void {
    this.ctx.beginPath();
    this.ctx.roundRect(x, y, width, height, height / 2);
    this.paint(paint);
  }

  text(text: string, x: number, y: number, style: TextStyle): void {
    const { ctx } = this;
    ctx.save();
    ctx.font = font(style.size, style.weight);
    ctx.textAlign = style.align ?? "left";
    ctx.globalAlpha = style.alpha ?? 1;
    ctx.translate(x, y);
    if (style.rotate) ctx.rotate(style.rotate);
    if (style.halo) {
      ctx.strokeStyle = style.halo;
      ctx.lineWidth = 3;
      ctx.lineJoin = "round";
      ctx.strokeText(text, 0, 0);
    }
    ctx.fillStyle = style.color;
    ctx.fillText(text, 0, 0);
    ctx.restore();
  }

  clip(x: number, y: number, width: number, height: number, draw: () => void): void {
    const { ctx } = this;
    ctx.save();
    ctx.beginPath();
    ctx.rect(x, y, width, height);
    ctx.clip();
    draw();
    ctx.restore();
  }

  /**
   * Thousands of equal marks are copied from one small picture each: a path of that many arcs
   * costs the rasteriser ten times as much. Radii are rounded to a quarter pixel.
   */
  private stamp(shape: "circles" | "diamonds", xyr: readonly number[], paint: Paint): void {
    const { ctx } = this;
    const { a: ratio, e: dx, f: dy } = ctx.getTransform();
    ctx.save();
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    for (let i = 0; i < xyr.length; i += 3) {
      const r = Math.round(xyr[i + 2] * 4) / 4;
      const sprite = spriteOf(shape, r, paint, ratio);
      const half = sprite.width / 2;
      // Whole device pixels: a shifted copy would blur.
      const x = Math.round(xyr[i] * ratio + dx - half);
      const y = Math.round(xyr[i + 1] * ratio + dy - half);
      ctx.drawImage(sprite, x, y);
    }
    ctx.restore();
  }

  private stroke(pen: Pen): void {
    const { ctx } = this;
    ctx.globalAlpha = pen.alpha ?? 1;
    ctx.strokeStyle = pen.color;
    ctx.lineWidth = pen.width;
    ctx.lineCap = pen.dash ? "butt" : "round";
    ctx.setLineDash(pen.dash ? [...pen.dash] : []);
    ctx.stroke();
    ctx.globalAlpha = 1;
  }

  private paint(paint: Paint): void {
    const { ctx } = this;
    if (paint.fill) {
      ctx.globalAlpha = paint.fillAlpha ?? 1;
      ctx.fillStyle = paint.fill;
      ctx.fill();
      ctx.globalAlpha = 1;
    }
    if (paint.stroke) this.stroke(paint.stroke);
  }
}

/** Numbers in a batch (three a mark) from which on marks are stamped. */
const STAMP_FROM = 900;
const sprites = new Map<string, HTMLCanvasElement>();

function spriteOf(
  shape: "circles" | "diamonds",
  r: number,
  paint: Paint,
  ratio: number,
): HTMLCanvasElement {
  const { stroke } = paint;
  const key = `${shape} ${r} ${ratio} ${paint.fill} ${paint.fillAlpha} ${stroke?.color} ${stroke?.width} ${stroke?.alpha}`;
  let sprite = sprites.get(key);
  if (!sprite) {
    if (sprites.size > 500) sprites.clear();
    sprite = document.createElement("canvas");
    const side = 2 * Math.ceil((r + 2) * ratio);
    sprite.width = side;
    sprite.height = side;
    const ctx = sprite.getContext("2d", { willReadFrequently: true });
    if (ctx) {
      ctx.setTransform(ratio, 0, 0, ratio, side / 2, side / 2);
      new CanvasSurface(ctx)[shape]([0, 0, r], paint);
    }
    sprites.set(key, sprite);
  }
  return sprite;
}
