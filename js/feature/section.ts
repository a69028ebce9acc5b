/**
 * A part of the card: a heading that explains itself, and a body that is drawn again only when its
 * data has changed, so that focus, open lists and scrolling stay while the rest arrives.
 */
import { type Child, h } from "../shared/dom";

export class Section<T> {
  readonly el: HTMLElement;
  private readonly note = h("span", { class: "iw-c-note" });
  private readonly body = h("div", {});
  private drawn = "";

  constructor(
    title: string,
    help: string,
    private readonly draw: (data: T) => readonly Child[],
  ) {
    this.el = h(
      "section",
      { class: "iw-c-section", attrs: { hidden: true, "aria-label": title } },
      h("h4", { title: help }, title, this.note),
      this.body,
    );
  }

  /** null: “computing …” while it is awaited, otherwise nothing. note: small, after the heading. */
  set(data: T | null, awaited: boolean, note = ""): void {
    const key = JSON.stringify([data, awaited, note]);
    if (key === this.drawn) return;
    this.drawn = key;
    this.el.hidden = data === null && !awaited;
    this.el.setAttribute("aria-busy", String(data === null && awaited));
    this.note.textContent = note ? ` ${note}` : "";
    const children =
      data === null ? [h("p", { class: "iw-c-soft" }, "computing …")] : this.draw(data);
    this.body.replaceChildren(
      ...children
        .filter((child) => child !== null && child !== undefined && child !== false)
        .map((child) => (child instanceof Node ? child : String(child))),
    );
  }
}
