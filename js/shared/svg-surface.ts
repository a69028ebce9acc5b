import { FONT, type Paint, type Pen, type Surface, type TextStyle } from "./surface";

/** Writes the same drawing as SVG text, for papers and for editing. */
export class SvgSurface implements Surface {
  private readonly parts: string[] = [];
  private clips = 0;

  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly title: string,
    private readonly background: string,
  ) {}

  toString(): string {
    const size = `width="${n(this.width)}" height="${n(this.height)}"`;
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${n(this.width)} ${n(this.height)}" role="img" font-family="${escapeXml(FONT)}">`,
      `<title>${escapeXml(this.title)}</title>`,
      `<rect ${size} fill="${escapeXml(this.background)}"/>`,
      ...this.parts,
      "</svg>",
    ].join("\n");
  }

  segments(xy: readonly number[], pen: Pen): void {
    let d = "";
    for (let i = 0; i < xy.length; i += 4) {
      d += `M${n(xy[i])},${n(xy[i + 1])}L${n(xy[i + 2])},${n(xy[i + 3])}`;
    }
    this.path(d, { stroke: pen });
  }

  curves(xy: readonly number[], pen: Pen): void {
    let d = "";
    for (let i = 0; i < xy.length; i += 4) {
      const [x0, y0, x1, y1] = [n(xy[i]), n(xy[i + 1]), n(xy[i + 2]), n(xy[i + 3])];
      const middle = n((xy[i + 1] + xy[i + 3]) / 2);
      d += `M${x0},${y0}C${x0},${middle} ${x1},${middle} ${x1},${y1}`;
    }
    this.path(d, { stroke: pen });
  }

  circles(xyr: readonly number[], paint: Paint): void {
    for (let i = 0; i < xyr.length; i += 3) {
      this.parts.push(
        `<circle cx="${n(xyr[i])}" cy="${n(xyr[i + 1])}" r="${n(xyr[i + 2])}"${attributes(paint)}/>`,
      );
    }
  }

  squares(xyr: readonly number[], paint: Paint): void {
    for (let i = 0; i < xyr.length; i += 3) {
      const r = xyr[i + 2];
      this.parts.push(
        `<rect x="${n(xyr[i] - r)}" y="${n(xyr[i + 1] - r)}" width="${n(2 * r)}" height="${n(2 * r)}" rx="1.2"${attributes(paint)}/>`,
      );
    }
  }

  diamonds(xyr: readonly number[], paint: Paint): void {
    let d = "";
    for (let i = 0; i < xyr.length; i += 3) {
      const r = n(xyr[i + 2]);
      d += `M${n(xyr[i])},${n(xyr[i + 1] - xyr[i + 2])}l${r},${r}l-${r},${r}l-${r},-${r}z`;
    }
    this.path(d, paint);
  }

  pill(x: number, y: number, width: number, height: number, paint: Paint): void {
    this.parts.push(
      `<rect x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" rx="${n(height / 2)}"${attributes(paint)}/>`,
    );
  }

  text(text: string, x: number, y: number, style: TextStyle): void {
    const anchor = { left: "start", center: "middle", right: "end" }[style.align ?? "left"];
    const turn = style.rotate ? ` rotate(${n((style.rotate * 180) / Math.PI)})` : "";
    const halo = style.halo
      ? ` stroke="${escapeXml(style.halo)}" stroke-width="3" stroke-linejoin="round" paint-order="stroke"`
      : "";
    const alpha = style.alpha === undefined ? "" : ` fill-opacity="${style.alpha}"`;
    this.parts.push(
      `<text transform="translate(${n(x)},${n(y)})${turn}" text-anchor="${anchor}" font-size="${style.size}" font-weight="${style.weight ?? 400}" fill="${escapeXml(style.color)}"${alpha}${halo}>${escapeXml(text)}</text>`,
    );
  }

  clip(x: number, y: number, width: number, height: number, draw: () => void): void {
    this.clips += 1;
    const id = `iw-clip-${this.clips}`;
    this.parts.push(
      `<clipPath id="${id}"><rect x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}"/></clipPath><g clip-path="url(#${id})">`,
    );
    draw();
    this.parts.push("</g>");
  }

  private path(d: string, paint: Paint): void {
    if (d) this.parts.push(`<path d="${d}"${attributes(paint)}/>`);
  }
}

/** Also removes what XML 1.0 forbids, so that a control character in a token cannot spoil a file. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/** Two decimals are below what a printer shows, and halve the file. */
function n(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function attributes(paint: Paint): string {
  let text = ` fill="${escapeXml(paint.fill ?? "none")}"`;
  if (paint.fill && paint.fillAlpha !== undefined) text += ` fill-opacity="${paint.fillAlpha}"`;
  const pen = paint.stroke;
  if (pen) {
    text += ` stroke="${escapeXml(pen.color)}" stroke-width="${n(pen.width)}"`;
    if (pen.alpha !== undefined) text += ` stroke-opacity="${pen.alpha}"`;
    if (pen.dash) text += ` stroke-dasharray="${pen.dash.join(" ")}"`;
    else text += ` stroke-linecap="round"`;
  }
  return text;
}
