/** Small SVG marks for the legend and the help. */
const NS = "http://www.w3.org/2000/svg";

type Shape =
  | "feature"
  | "error"
  | "token"
  | "raises"
  | "lowers"
  | "selected"
  | "proposed"
  | "pinned"
  | "widths"
  | "areas";

const SHAPES: Record<Shape, readonly [tag: string, attributes: Record<string, string>][]> = {
  feature: [["circle", { cx: "6", cy: "5", r: "3.6", class: "iw-m-node" }]],
  error: [["path", { d: "M6,1.4l3.6,3.6l-3.6,3.6l-3.6,-3.6z", class: "iw-m-error" }]],
  token: [
    ["rect", { x: "2.6", y: "1.6", width: "6.8", height: "6.8", rx: "1.2", class: "iw-m-node" }],
  ],
  raises: [["path", { d: "M1,5h20", class: "iw-m-raises" }]],
  lowers: [["path", { d: "M1,5h20", class: "iw-m-lowers" }]],
  selected: [["circle", { cx: "6", cy: "5", r: "4", class: "iw-m-selected" }]],
  proposed: [["circle", { cx: "6", cy: "5", r: "4", class: "iw-m-proposed" }]],
  pinned: [["rect", { x: "1", y: "1", width: "17", height: "8", rx: "4", class: "iw-m-pinned" }]],
  widths: [
    ["path", { d: "M1,2h16", class: "iw-m-thin" }],
    ["path", { d: "M1,7h16", class: "iw-m-thick" }],
  ],
  areas: [
    ["circle", { cx: "3.5", cy: "5", r: "2", class: "iw-m-node" }],
    ["circle", { cx: "12", cy: "5", r: "4.2", class: "iw-m-node" }],
  ],
};

const WIDTHS: Partial<Record<Shape, number>> = {
  raises: 22,
  lowers: 22,
  pinned: 19,
  widths: 18,
  areas: 17,
};

export function mark(shape: Shape): SVGElement {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("width", String(WIDTHS[shape] ?? 12));
  svg.setAttribute("height", "10");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "iw-mark");
  for (const [tag, attributes] of SHAPES[shape]) {
    const el = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, value);
    svg.append(el);
  }
  return svg;
}
