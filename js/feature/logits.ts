/** Which next tokens the feature raises and lowers, directly; a line marks what chance reaches. */
import { type Child, h } from "../shared/dom";
import { marked, signedNumber } from "../shared/format";
import type { Card, TokenWeight } from "./state";
import { controlText } from "./words";

export function logitLists(logits: NonNullable<Card["logits"]>): Child[] {
  const { positive, negative, control } = logits;
  const values = [...positive, ...negative].map(({ value }) => Math.abs(value ?? 0));
  const most = Math.max(1e-9, control?.value ?? 0, ...values);
  const line = control ? Math.min(1, Math.abs(control.value) / most) : null;
  const list = (name: string, rows: readonly TokenWeight[]) =>
    h(
      "ol",
      { class: "iw-c-databars", attrs: { "aria-label": name } },
      ...rows.map(({ token, value }) =>
        h("li", { title: JSON.stringify(token) }, ...dataBar(marked(token), value, most, line)),
      ),
    );
  return [
    h(
      "div",
      { class: "iw-c-pair" },
      h("div", {}, h("div", { class: "iw-c-soft" }, "raises"), list("raises", positive)),
      h("div", {}, h("div", { class: "iw-c-soft" }, "lowers"), list("lowers", negative)),
    ),
    control && controlLine(controlText("best of random directions as long", control)),
  ];
}

/** A name and a number on a bar; the dotted line is the control. */
export function dataBar(
  name: string,
  value: number | null,
  most: number,
  control: number | null,
  print: (value: number) => string = signedNumber,
): Child[] {
  const width = Math.min(1, Math.abs(value ?? 0) / most);
  return [
    h("i", {
      class: (value ?? 0) < 0 ? "iw-c-neg" : "iw-c-pos",
      attrs: { "aria-hidden": "true" },
      style: { "--iw-at": width.toFixed(3) },
    }),
    control !== null &&
      h("i", {
        class: "iw-c-control",
        attrs: { "aria-hidden": "true" },
        style: { "--iw-at": control.toFixed(3) },
      }),
    h("span", { class: "iw-c-name" }, name),
    h("span", { class: "iw-c-number" }, value === null ? "" : print(value)),
  ];
}

export function controlLine(text: string): HTMLElement {
  return h("p", { class: "iw-c-soft iw-c-controltext" }, text);
}
