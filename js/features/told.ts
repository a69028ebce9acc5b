/** What became of what was asked, in a sentence, with the line of code to run where that is it. */
import { button, h } from "../shared/dom";
import type { Told } from "./state";

export class ToldLine {
  readonly el = h("div", {
    class: "iw-f-told",
    attrs: { hidden: true, role: "status", "aria-live": "polite" },
  });

  show(told: Told | null): void {
    const text = told?.text ?? "";
    const code = told?.code ?? "";
    this.el.hidden = text === "" && code === "";
    if (this.el.hidden) {
      this.el.replaceChildren();
      return;
    }
    const line = h("code", { class: "iw-f-code-line" }, code);
    const copy = button("copy", () => void this.copy(code, line, copy), { class: "iw-strong" });
    this.el.replaceChildren(
      h("span", {}, text),
      ...(code ? [line, copy] : []),
      button("dismiss", () => this.show(null), {}),
    );
  }

  /** Where the page may not write to the clipboard, the code is selected, to be copied by hand. */
  private async copy(code: string, line: HTMLElement, said: HTMLElement): Promise<void> {
    try {
      await navigator.clipboard.writeText(code);
      said.textContent = "copied";
    } catch {
      getSelection()?.selectAllChildren(line);
      said.textContent = "selected: press Ctrl or Cmd and C";
    }
  }
}
