/** On the right: the next token before and after, and what was tried, one click away. */
import { button, h } from "../shared/dom";
import { probability, signed, tokenText } from "../shared/format";
import type { Host, Live, Next, Tried } from "./state";

export class Panel {
  readonly el = h("aside", {
    class: "iw-s-side",
    attrs: { "aria-label": "Next token and history" },
  });
  private readonly where = h("small");
  private readonly table = h("table", { class: "iw-s-next" });
  private readonly tried = h("ul", { class: "iw-rows iw-s-tried" });
  private key = "";
  private now = 0;

  constructor(private readonly host: Host) {
    this.el.append(
      h("h3", { title: "Click a token of a text to see it there" }, "Next token ", this.where),
      this.table,
      h("h3", { title: "Newest first; click one to be back at it" }, "Tried"),
      this.tried,
    );
  }

  setNext(next: Next | null): void {
    this.where.textContent = next ? `after “${next.after.trim() || "␣"}”` : "";
    this.where.title = next?.after ?? "";
    if (!next || next.tokens.length === 0) {
      const empty = "Appears with the first token.";
      this.table.replaceChildren(h("caption", {}, empty));
      return;
    }
    const steered = next.row > 0;
    const head = h(
      "tr",
      {},
      h("th", { attrs: { scope: "col" } }, "token"),
      h("th", { attrs: { scope: "col" }, title: "Its probability without steering" }, "before"),
      steered && h("th", { attrs: { scope: "col" }, title: "And with" }, "steered"),
      steered && h("th", { attrs: { scope: "col" } }, "change"),
    );
    const rows = next.tokens.map(([text, before, after]) => {
      // What was not listed is less likely than all that were: next to nothing.
      const change = (after ?? 0) - (before ?? 0);
      const sign = Math.abs(change) < 0.005 ? "" : change < 0 ? "iw-s-less" : "iw-s-more";
      return h(
        "tr",
        {},
        h("th", { attrs: { scope: "row" }, title: text }, tokenText(text)),
        h("td", {}, shown(before)),
        steered && h("td", {}, shown(after)),
        steered && h("td", { class: sign }, points(change)),
      );
    });
    this.table.replaceChildren(h("thead", {}, head), h("tbody", {}, ...rows));
  }

  setLive(live: Live, off: boolean): void {
    const key = JSON.stringify([live.tried, live.now, off]);
    if (key === this.key) return;
    this.key = key;
    const { scrollTop } = this.tried;
    const moved = live.now !== this.now;
    this.now = live.now;
    const focused = this.tried.querySelector<HTMLElement>(":focus")?.dataset.tried;
    this.tried.replaceChildren(
      ...live.tried.map((each) => h("li", {}, this.entry(each, each.id === live.now, off))),
    );
    this.tried.scrollTop = scrollTop;
    const now = this.tried.querySelector<HTMLElement>("[aria-current]");
    if (moved && now) {
      const top = now.offsetTop - this.tried.offsetTop;
      const bottom = top + now.offsetHeight;
      const { clientHeight } = this.tried;
      if (top < scrollTop || bottom > scrollTop + clientHeight) this.tried.scrollTop = top - 2;
    }
    if (focused) this.tried.querySelector<HTMLElement>(`[data-tried="${focused}"]`)?.focus();
    if (live.tried.length === 0)
      this.tried.replaceChildren(h("li", { class: "iw-s-empty" }, "Nothing yet."));
  }

  private entry(each: Tried, now: boolean, off: boolean): HTMLElement {
    const el = button("", () => this.host.back(each.id), {
      class: "iw-rowbutton iw-s-entry",
      title: `${each.label}\n${each.text}`,
      attrs: { "data-tried": each.id, "aria-current": now ? "true" : undefined, disabled: off },
    });
    el.append(h("span", {}, each.label), h("small", {}, each.text));
    return el;
  }
}

function shown(p: number | null): string {
  return p === null ? "<.01" : probability(p);
}

/** A change of probability in two digits; its sign stands beside its colour. */
function points(change: number): string {
  return Math.abs(change) < 0.005 ? "0" : signed(change).replace("0.", ".");
}
