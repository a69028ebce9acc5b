import { h } from "../../shared/dom";

/** A name that turns into a field: Enter or leaving keeps, Escape forgets. */
export class NameField {
  readonly el: HTMLElement;
  editing = false;
  private readonly text: HTMLButtonElement;

  constructor(
    private readonly name: string,
    private readonly what: string,
    private readonly keep: (name: string) => void,
    private readonly done: () => void,
  ) {
    this.text = h(
      "button",
      {
        class: "iw-title",
        title: `${name}: click to rename`,
        attrs: { type: "button", "aria-label": `${name}: rename this ${what}` },
        on: { click: () => this.open() },
      },
      name,
    );
    this.el = h("span", { class: "iw-titlebox" }, this.text);
  }

  open(): void {
    if (this.editing) return;
    this.editing = true;
    let closed = false;
    const close = (keep: boolean) => {
      if (closed) return;
      closed = true;
      this.editing = false;
      input.replaceWith(this.text);
      if (keep && input.value !== this.name) this.keep(input.value);
      this.done();
    };
    const input = h("input", {
      class: "iw-titleinput",
      attrs: { type: "text", maxlength: 120, "aria-label": `Name of this ${this.what}` },
      on: {
        blur: () => close(true),
        keydown: (e) => {
          if (e.key === "Enter") close(true);
          else if (e.key === "Escape") close(false);
          else return;
          e.preventDefault();
          e.stopPropagation();
        },
      },
    });
    input.value = this.name;
    this.text.replaceWith(input);
    input.focus();
    input.select();
  }
}
