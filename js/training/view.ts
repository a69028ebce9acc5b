/** The whole view of a training. It knows no notebook: the widget gives it state and a host. */
import { Charts } from "../shared/charts";
import { h } from "../shared/dom";
import { Help } from "../shared/help";
import { watchSilence } from "../shared/host";
import { followTheme } from "../shared/theme";
import { FeatureList } from "./features";
import { Header } from "./header";
import { HELP, marks } from "./help";
import { Settings } from "./settings";
import { type Detail, EMPTY, type Features, type Host, type Live } from "./state";
import { type Figure, figures, stateSentence } from "./words";

/** A kernel sends a sign of life every two seconds while it trains. */
const SILENCE_MS = 12_000;

const OFFLINE =
  "No kernel behind this view: the training has ended with it. Run its cell again to train anew, " +
  "or go on from a checkpoint with Training.resume_from.";

export class View {
  readonly root = h("div", {
    class: "iw-root iw-training",
    attrs: {
      "data-iw-state": "pending",
      "data-jp-suppress-context-menu": true,
      role: "region",
      "aria-label": "Training",
    },
  });
  readonly charts = new Charts();
  private readonly abort = new AbortController();
  private readonly header: Header;
  private readonly settings: Settings;
  private readonly features: FeatureList;
  private readonly notice = h("div", { class: "iw-news", attrs: { hidden: true } });
  private readonly spoken = h("div", {
    class: "iw-hidden",
    attrs: { role: "status", "aria-live": "polite" },
  });
  private readonly figures = h("dl", { class: "iw-t-figures" });
  private live: Live = EMPTY;
  private shown = "";
  private offline = false;
  private heard = 0;
  private said = "";

  constructor(parent: HTMLElement, host: Host, themed: (theme: string) => void) {
    const { root } = this;
    const { signal } = this.abort;
    const help = new Help(HELP, () =>
      root.querySelector<HTMLElement>("[aria-label=Help]")?.focus(),
    );
    this.header = new Header(
      host,
      (sentence) => this.say(sentence),
      () => help.toggle(),
    );
    this.settings = new Settings(host);
    this.features = new FeatureList(host);
    root.append(
      this.header.el,
      this.header.bar,
      this.notice,
      this.header.tabs,
      this.settings.el,
      h(
        "div",
        { class: "iw-t-body" },
        h("div", { class: "iw-t-main" }, this.figures, this.charts.el),
        this.features.el,
      ),
      marks(),
      help.el,
      this.spoken,
    );
    parent.append(root);
    followTheme(root, () => themed(root.dataset.iwTheme ?? "light"), signal);
    // JupyterLab has commands on bare keys; keys with Ctrl or Cmd stay its own.
    root.addEventListener(
      "keydown",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
      },
      { signal },
    );
    watchSilence(
      SILENCE_MS,
      () => (this.live.state === "computing" && !this.offline ? this.heard : null),
      () => this.said,
      (said) => this.say(said),
      signal,
    );
    this.show();
  }

  setLive(live: Partial<Live>): void {
    const before = this.live.state;
    this.live = { ...EMPTY, ...live };
    this.heard = performance.now();
    if (before !== this.live.state) {
      this.said = "";
      this.spoken.textContent = stateSentence(this.live, this.shown);
    }
    this.show();
  }

  setShown(shown: string): void {
    this.shown = shown;
    this.show();
  }

  setFeatures(features: Features | null): void {
    this.features.show(features);
    this.root.dataset.iwRows = String(features?.rows.length ?? 0);
  }

  setDetail(detail: Detail | null): void {
    this.features.showDetail(detail);
    this.root.dataset.iwOpened = detail ? String(detail.row.feature) : "";
  }

  setHeight(height: number): void {
    this.root.style.height = `${height}px`;
  }

  setOffline(offline: boolean): void {
    this.offline = offline;
    this.show();
  }

  /** A sentence about the view itself, until the state changes. */
  private say(sentence: string): void {
    this.said = sentence;
    this.spoken.textContent = sentence;
    this.show();
  }

  private show(): void {
    const { live, root } = this;
    root.dataset.iwState = live.state;
    root.dataset.iwShown = this.shown;
    root.dataset.iwStep = String(live.step);
    root.classList.toggle("iw-t-offline", this.offline);
    this.header.show(live, this.shown, this.offline);
    this.settings.show(live, this.offline);
    this.showFigures(figures(live));
    const failed = live.state === "failed" ? stateSentence(live, this.shown) : "";
    const notice = this.offline ? OFFLINE : this.said || failed;
    this.notice.hidden = notice === "";
    if (this.notice.textContent !== notice) this.notice.textContent = notice;
    if (this.offline) this.charts.say("The charts were with the kernel.");
    else if (live.state === "empty") this.charts.say("Charts appear here with the first steps.");
    else this.charts.say("Fetching the charts …");
  }

  /** Built once; then only texts change, so that nothing jumps. */
  private showFigures(all: readonly Figure[]): void {
    if (this.figures.childElementCount !== all.length) {
      this.figures.replaceChildren(
        ...all.map(({ name, title }) =>
          h("div", { title }, h("dt", {}, name), h("dd", {}), h("small", {})),
        ),
      );
    }
    all.forEach(({ value, beside }, at) => {
      const [, dd, small] = this.figures.children[at].children;
      if (dd.textContent !== value) dd.textContent = value;
      if (small.textContent !== beside) {
        small.textContent = beside;
        small.setAttribute("title", beside);
      }
    });
  }

  destroy(): void {
    this.abort.abort();
    this.charts.destroy();
    this.header.destroy();
    this.settings.destroy();
    this.root.remove();
  }
}
