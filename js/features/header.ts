/** What is shown, how far the index is, and the ways through it. */
import { button, h } from "../shared/dom";
import { fillLine, progressLine } from "../shared/progress";
import type { Live } from "./state";
import { headline, stateSentence, titleText } from "./words";

export interface HeaderActions {
  cancel(): void;
  back(): void;
  forward(): void;
  list(): void;
  help(): void;
}

const OFFLINE = "No kernel behind this view. What is on screen stays; run its cell again to go on.";

export class Header {
  readonly el: HTMLElement;
  readonly bar = progressLine("Index", "iw-smooth");
  readonly notice = h("div", { class: "iw-news", attrs: { hidden: true } });
  private readonly title = h("b", { class: "iw-topname" });
  private readonly sentence = h("span", { class: "iw-topnews" });
  private readonly cancel: HTMLButtonElement;
  private readonly back: HTMLButtonElement;
  private readonly forward: HTMLButtonElement;
  private readonly list: HTMLButtonElement;

  constructor(actions: HeaderActions) {
    this.cancel = button("Cancel", () => actions.cancel(), {
      class: "iw-action",
      title: "Stops reading; what was read is kept",
    });
    this.back = button("back", () => actions.back(), {
      title: "The feature before (Alt + left arrow)",
    });
    this.forward = button("forward", () => actions.forward(), {
      title: "The feature after (Alt + right arrow)",
    });
    this.list = button("list", () => actions.list(), {
      title: "Shows or hides the list",
      attrs: { "aria-pressed": "true" },
    });
    this.el = h(
      "header",
      { class: "iw-topline" },
      this.title,
      this.sentence,
      this.cancel,
      h("span", { class: "iw-f-ways" }, this.list, this.back, this.forward),
      button("?", () => actions.help(), {
        title: "What everything here means",
        attrs: { "aria-label": "Help" },
      }),
    );
  }

  show(live: Live, offline: boolean, said: string): void {
    this.title.textContent = titleText(live);
    const text = headline(live);
    this.sentence.textContent = text;
    this.sentence.title = text;
    const computing = live.state === "computing";
    this.cancel.hidden = offline || !computing;
    this.bar.hidden = !computing;
    fillLine(this.bar, live.progress, text);
    const state = computing ? "" : stateSentence(live);
    const notice = offline ? OFFLINE : said || state || live.problem;
    this.notice.hidden = notice === "";
    if (this.notice.textContent !== notice) this.notice.textContent = notice;
  }

  /** list: whether it is shown; null where there is none. */
  setWays(back: boolean, forward: boolean, list: boolean | null): void {
    this.list.hidden = list === null;
    this.back.disabled = !back;
    this.forward.disabled = !forward;
    this.list.setAttribute("aria-pressed", String(list === true));
  }
}
