/** What is measured, how far it is, and the buttons that act on it. */
import { button, h } from "../shared/dom";
import { fillLine, progressLine } from "../shared/progress";
import type { Host, Live } from "./state";
import { baseText, metricTitle, stateSentence } from "./words";

const OFFLINE =
  "No kernel behind this view. What was measured is still here; run its cell again to measure more.";

export class Header {
  readonly el: HTMLElement;
  readonly bar = progressLine("Heatmaps");
  readonly notice = h("div", { class: "iw-news", attrs: { hidden: true } });
  private readonly title = h("b", { class: "iw-topname" });
  private readonly sentence = h("span", { class: "iw-topnews" });
  private readonly cancel: HTMLButtonElement;
  private readonly resume: HTMLButtonElement;

  constructor(host: Host, help: () => void) {
    this.cancel = button("Cancel", () => host.act("cancel"), {
      class: "iw-action",
      title: "Stops filling the heatmaps; what is there stays",
    });
    this.resume = button("Resume", () => host.act("resume"), {
      class: "iw-action",
      title: "Goes on filling the heatmaps",
    });
    this.el = h(
      "header",
      { class: "iw-topline" },
      this.title,
      this.sentence,
      this.cancel,
      this.resume,
      button("?", help, {
        title: "What everything here means",
        attrs: { "aria-label": "Help" },
      }),
    );
  }

  /** said: a sentence about the view itself. */
  show(live: Live, offline: boolean, said: string): void {
    const title = live.metric ? metricTitle(live.metric) : "Ablation";
    this.title.textContent = title;
    this.title.title = live.model ? `${title}, of ${live.model}` : "";
    const stopped = live.state === "failed" || live.state === "empty";
    const runs = live.metric ? `${baseText(live.metric)} with nothing changed · ` : "";
    const text = offline || stopped ? "" : runs + stateSentence(live);
    this.sentence.textContent = text;
    this.sentence.title = text;
    this.cancel.hidden = offline || live.state !== "computing";
    this.resume.hidden = offline || !(live.state === "cancelled" || live.state === "failed");
    this.bar.hidden = live.state === "empty";
    fillLine(this.bar, live.progress, stateSentence(live));
    const notice = offline ? OFFLINE : said || (stopped ? stateSentence(live) : "");
    this.notice.hidden = notice === "";
    if (this.notice.textContent !== notice) this.notice.textContent = notice;
  }
}
