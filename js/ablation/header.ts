/** What is measured, how far it is, and the buttons that act on it. */
import { button, h } from "../shared/dom";
import type { Host, Live } from "./state";
import { baseText, metricTitle, stateSentence } from "./words";

const OFFLINE =
  "No kernel behind this view. What was measured is still here; run its cell again to measure more.";

export class Header {
  readonly el: HTMLElement;
  readonly bar = h("div", {
    class: "iw-a-progress",
    attrs: {
      role: "progressbar",
      "aria-label": "Heatmaps",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    },
  });
  readonly notice = h("div", { class: "iw-a-notice", attrs: { hidden: true } });
  private readonly title = h("b", { class: "iw-a-title" });
  private readonly sentence = h("span", { class: "iw-a-sentence" });
  private readonly cancel: HTMLButtonElement;
  private readonly resume: HTMLButtonElement;

  constructor(host: Host, help: () => void) {
    this.cancel = button("Cancel", () => host.act("cancel"), {
      class: "iw-a-action",
      title: "Stops filling the heatmaps; what is there stays",
    });
    this.resume = button("Resume", () => host.act("resume"), {
      class: "iw-a-action",
      title: "Goes on filling the heatmaps",
    });
    this.el = h(
      "header",
      { class: "iw-a-top" },
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
    this.bar.style.setProperty("--iw-fill", `${(100 * live.progress).toFixed(1)}%`);
    this.bar.setAttribute("aria-valuenow", String(Math.round(100 * live.progress)));
    this.bar.setAttribute("aria-valuetext", stateSentence(live));
    const notice = offline ? OFFLINE : said || (stopped ? stateSentence(live) : "");
    this.notice.hidden = notice === "";
    if (this.notice.textContent !== notice) this.notice.textContent = notice;
  }
}
