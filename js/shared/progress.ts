/** The thin line under a view's top that fills while Python computes. */
import { h } from "./dom";

/** Empty; "iw-smooth" as a further class lets the line glide where motion is welcome. */
export function progressLine(label: string, further = ""): HTMLDivElement {
  return h("div", {
    class: `iw-progressline ${further}`.trim(),
    attrs: {
      role: "progressbar",
      "aria-label": label,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    },
  });
}

/** Filled up to `progress`, from 0 to 1; `text` says the same to who listens. */
export function fillLine(line: HTMLElement, progress: number, text: string): void {
  line.style.setProperty("--iw-fill", `${(100 * progress).toFixed(1)}%`);
  line.setAttribute("aria-valuenow", String(Math.round(100 * progress)));
  line.setAttribute("aria-valuetext", text);
}
