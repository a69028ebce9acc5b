/** What a drawing function needs to know: the picture of one moment, in CSS pixels. */

import type { Measure } from "../../shared/surface";
import type { Theme } from "../../shared/theme";
import type { Graph, Labels } from "../graph";
import type { Layout } from "../layout";
import type { Placed } from "../place";

/** Room around the plot for axis labels. */
export interface Margins {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export interface Frame {
  readonly graph: Graph;
  readonly layout: Layout;
  readonly theme: Theme;
  readonly measure: Measure;
  readonly labels: Labels;
  readonly width: number;
  readonly height: number;
  readonly margins: Margins;
  /** Token labels lie flat or are turned. */
  readonly turned: boolean;
  /** Shift from layout to canvas coordinates. */
  readonly dx: number;
  readonly dy: number;
  readonly scale: number;
  readonly kept: Uint8Array;
  readonly lit: ReadonlySet<number>;
  readonly found: ReadonlySet<number>;
  readonly tags: readonly Tag[];
}

/** A placed name: a pill for what the user chose, plain text for what is merely strong. */
export interface Tag {
  readonly box: Placed;
  readonly text: string;
  readonly style: "pill" | "group" | "plain";
  readonly selected: boolean;
  readonly nodes: readonly number[];
}

export function plot(frame: Frame) {
  const { margins, width, height } = frame;
  return {
    x: margins.left,
    y: margins.top,
    width: width - margins.left - margins.right,
    height: height - margins.top - margins.bottom,
  };
}
