/** The drawing as a file: SVG for papers, PNG for slides; both say the prompt and the legend. */
import { CanvasSurface } from "../shared/canvas-surface";
import { type Surface, truncate } from "../shared/surface";
import { SvgSurface } from "../shared/svg-surface";
import type { Stage } from "./stage";
import type { Store } from "./store";

const HEAD = 34;
const FOOT = 26;

export function toSvg(store: Store, stage: Stage): string {
  const { width, height, theme } = stage.size;
  const title = store.state.graph?.header.prompt ?? "Attribution graph";
  const surface = new SvgSurface(width, height + HEAD + FOOT, title, theme.paper);
  drawFigure(shifted(surface, 0, HEAD), surface, store, stage);
  return surface.toString();
}

export async function toPng(store: Store, stage: Stage, scale = 2): Promise<Blob> {
  const { width, height, theme } = stage.size;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round((height + HEAD + FOOT) * scale);
  const ctx = canvas.getContext("2d");
  if (!ctx) throw new Error("This browser cannot draw on a canvas.");
  ctx.scale(scale, scale);
  ctx.fillStyle = theme.paper;
  ctx.fillRect(0, 0, width, height + HEAD + FOOT);
  const surface = new CanvasSurface(ctx);
  ctx.save();
  ctx.translate(0, HEAD);
  stage.drawOn(surface);
  ctx.restore();
  drawFrame(surface, store, stage);
  return new Promise((done, fail) =>
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("The picture is too large.")))),
  );
}

function drawFigure(moved: Surface, surface: Surface, store: Store, stage: Stage): void {
  stage.drawOn(moved);
  drawFrame(surface, store, stage);
}

/** Prompt above, legend below. */
function drawFrame(surface: Surface, store: Store, stage: Stage): void {
  const { width, height, theme } = stage.size;
  const { graph } = store.state;
  const { measure } = stage;
  const prompt = truncate(graph?.header.prompt ?? "", width - 24, 13, measure);
  surface.text(prompt, 12, 21, { size: 13, color: theme.ink, weight: 600 });
  surface.segments([0, HEAD, width, HEAD], { color: theme.rule, width: 1 });
  const y = HEAD + height + 17;
  surface.segments([0, HEAD + height, width, HEAD + height], { color: theme.rule, width: 1 });
  let x = 12;
  const say = (text: string, gap = 16) => {
    surface.text(text, x, y, { size: 11, color: theme.mute });
    x += measure(text, 11) + gap;
  };
  const outline = { fill: theme.node, stroke: { color: theme.mute, width: 1 } };
  surface.circles([x + 4, y - 4, 3.6], outline);
  x += 12;
  say(graph?.header.unit ?? "feature");
  surface.diamonds([x + 4, y - 4, 3.6], { stroke: { color: theme.mute, width: 1 } });
  x += 12;
  say(graph?.header.error_name ?? "unexplained");
  surface.squares([x + 4, y - 4, 3.4], outline);
  x += 12;
  say("token, output");
  surface.segments([x, y - 4, x + 20, y - 4], { color: theme.pos, width: 2.5 });
  x += 25;
  say("raises");
  surface.segments([x, y - 4, x + 20, y - 4], { color: theme.neg, width: 2.5, dash: [5, 3] });
  x += 25;
  say("lowers");
  surface.circles([x + 4, y - 4, 4], { stroke: { color: theme.sel, width: 2 } });
  x += 13;
  say("selected");
  if (width > 700) say("width: √ of share in the target's input");
  if (width > 900) say("area: influence");
}

/** SVG has no current transform in our interface: move the coordinates instead. */
function shifted(surface: Surface, dx: number, dy: number): Surface {
  const pairs = (xy: readonly number[]) => xy.map((v, k) => v + (k % 2 === 0 ? dx : dy));
  const triples = (xyr: readonly number[]) =>
    xyr.map((v, k) => v + (k % 3 === 0 ? dx : k % 3 === 1 ? dy : 0));
  return {
    segments: (xy, pen) => surface.segments(pairs(xy), pen),
    curves: (xy, pen) => surface.curves(pairs(xy), pen),
    circles: (xyr, paint) => surface.circles(triples(xyr), paint),
    squares: (xyr, paint) => surface.squares(triples(xyr), paint),
    diamonds: (xyr, paint) => surface.diamonds(triples(xyr), paint),
    pill: (x, y, w, h, paint) => surface.pill(x + dx, y + dy, w, h, paint),
    text: (text, x, y, style) => surface.text(text, x + dx, y + dy, style),
    clip: (x, y, w, h, draw) => surface.clip(x + dx, y + dy, w, h, draw),
  };
}

/** Hands a file to the browser; needs no network. */
export function download(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function fileName(prompt: string, ending: string): string {
  const words = prompt
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 48);
  return `${words || "graph"}.${ending}`;
}
