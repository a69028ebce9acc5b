import { button, h } from "../../shared/dom";

export interface MenuItem {
  readonly text: string;
  readonly title?: string;
  readonly disabled?: boolean;
  run(): void;
}

/** A button with a list of commands under it; arrows move, Escape and outside clicks close. */
export class Menu {
  readonly el: HTMLElement;
  private readonly opener: HTMLButtonElement;
  private list: HTMLElement | null = null;
  private closing = new AbortController();

  constructor(
    name: string,
    private readonly items: () => readonly MenuItem[],
  ) {
    this.opener = button(name, () => (this.list ? this.close() : this.open()), {
      attrs: { "aria-haspopup": "menu", "aria-expanded": "false" },
    });
    this.el = h("span", { class: "iw-menubox" }, this.opener);
  }

  private open(): void {
    const buttons = this.items().map((item) =>
      button(
        item.text,
        () => {
          this.close();
          item.run();
        },
        { title: item.title, attrs: { role: "menuitem", disabled: item.disabled } },
      ),
    );
    this.list = h(
      "div",
      { class: "iw-menu", attrs: { role: "menu" }, on: { keydown: (e) => this.key(e, buttons) } },
      ...buttons,
    );
    this.el.append(this.list);
    this.opener.setAttribute("aria-expanded", "true");
    buttons.find((b) => !b.disabled)?.focus();
    this.closing = new AbortController();
    this.el.ownerDocument.addEventListener(
      "pointerdown",
      (e) => {
        if (!e.composedPath().includes(this.el)) this.close();
      },
      { signal: this.closing.signal, capture: true },
    );
    // Leaving with Tab closes too.
    this.el.addEventListener(
      "focusout",
      (e) => {
        if (e.relatedTarget instanceof Node && !this.el.contains(e.relatedTarget)) this.close();
      },
      { signal: this.closing.signal },
    );
  }

  private close(): void {
    this.closing.abort();
    this.list?.remove();
    this.list = null;
    this.opener.setAttribute("aria-expanded", "false");
  }

  private key(e: KeyboardEvent, buttons: readonly HTMLButtonElement[]): void {
    const enabled = buttons.filter((b) => !b.disabled);
    const root = this.el.getRootNode() as Document | ShadowRoot;
    const at = enabled.indexOf(root.activeElement as HTMLButtonElement);
    if (e.key === "Escape") {
      this.close();
      this.opener.focus();
    } else if (e.key === "ArrowDown") enabled[(at + 1) % enabled.length]?.focus();
    else if (e.key === "ArrowUp") enabled[(at + enabled.length - 1) % enabled.length]?.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  }
}
