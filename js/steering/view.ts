/** The whole view of a steering. It knows no notebook: the widget gives it state and a host. */
import { button, h } from "../shared/dom";
import { Help } from "../shared/help";
import { followTheme } from "../shared/theme";
import { Columns } from "./columns";
import { DoseSection } from "./dose";
import { HELP, marks } from "./help";
import { Knobs } from "./knobs";
import { Panel } from "./panel";
import { Settings } from "./settings";
import { EMPTY, type Host, type Live, type Next, type Steps, type Texts } from "./state";
import { stateSentence, turned } from "./words";

const PATIENCE_MS = 2000;
/** The chart's own height, below the rest. */
const DOSE = 380;

const OFFLINE =
  "No kernel behind this view: run its cell again to go on. The texts stay as they were.";
const BUSY = "The kernel is busy with a cell: it acts when that is done.";

export class View {
  readonly root = h("div", {
    class: "iw-root iw-steering",
    attrs: {
      "data-iw-state": "pending",
      "data-jp-suppress-context-menu": true,
      role: "region",
      "aria-label": "Steering",
    },
  });
  readonly dose: DoseSection;
  private readonly abort = new AbortController();
  private readonly host: Host;
  private readonly settings: Settings;
  private readonly knobs: Knobs;
  private readonly columns: Columns;
  private readonly panel: Panel;
  private readonly cancel: HTMLButtonElement;
  private readonly sentence = h("span", { class: "iw-s-sentence" });
  private readonly notice = h("div", { class: "iw-news", attrs: { hidden: true } });
  private readonly spoken = h("div", {
    class: "iw-hidden",
    attrs: { role: "status", "aria-live": "polite" },
  });
  private live: Live = EMPTY;
  private offline = false;
  private said = "";
  private asked = 0;
  private height = 500;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `next`: the number of the message that is sent next. */
  constructor(
    parent: HTMLElement,
    host: Host,
    themed: (theme: string) => void,
    next: () => number,
  ) {
    const { root } = this;
    const { signal } = this.abort;
    /** Every question starts a wait; an answer carries its number. */
    const asks =
      <A extends unknown[]>(ask: (...args: A) => boolean) =>
      (...args: A): boolean => {
        const number = next();
        if (!ask(...args)) return false;
        this.wait(number);
        return true;
      };
    this.host = {
      turn: asks(host.turn),
      set: asks(host.set),
      choose: asks(host.choose),
      act: asks(host.act),
      measure: asks(host.measure),
      look: asks(host.look),
      back: asks(host.back),
    };
    const help = new Help(HELP, () =>
      root.querySelector<HTMLElement>("[aria-label=Help]")?.focus(),
    );
    this.dose = new DoseSection(this.host, () => this.size());
    this.settings = new Settings(this.host, (sentence) => this.say(sentence));
    this.knobs = new Knobs(this.host, this.dose.open);
    this.columns = new Columns(this.host);
    this.panel = new Panel(this.host);
    this.cancel = button("Cancel", () => this.press(), { class: "iw-action" });
    root.append(
      h(
        "header",
        { class: "iw-s-top" },
        this.settings.prompt,
        this.sentence,
        this.cancel,
        button("?", () => help.toggle(), {
          title: "What everything here means",
          attrs: { "aria-label": "Help" },
        }),
      ),
      this.notice,
      this.settings.el,
      h("div", { class: "iw-s-body" }, this.columns.el, this.panel.el),
      this.knobs.el,
      marks(),
      this.dose.el,
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
    this.panel.setNext(null);
    this.show();
  }

  setLive(live: Partial<Live>): void {
    const before = this.live.state;
    this.live = { ...EMPTY, ...live };
    if (this.live.seq >= this.asked) this.answered();
    if (before !== this.live.state) this.spoken.textContent = this.words;
    this.show();
  }

  setTexts(texts: Texts): void {
    this.columns.setTexts(texts);
    this.root.dataset.iwRun = String(texts.run);
    this.counted();
  }

  /** False if this page has missed a part. */
  addSteps(steps: Steps): boolean {
    const whole = this.columns.addSteps(steps);
    this.counted();
    if (this.live.state === "streaming") this.sentence.textContent = this.words;
    return whole;
  }

  setNext(next: Next | null): void {
    this.panel.setNext(next);
    if (next) this.columns.setLooked(next.row, next.at);
  }

  setHeight(height: number): void {
    this.height = height;
    this.size();
  }

  setOffline(offline: boolean): void {
    this.offline = offline;
    this.show();
  }

  private size(): void {
    this.root.style.height = `${this.height + (this.dose.visible ? DOSE : 0)}px`;
  }

  private counted(): void {
    this.root.dataset.iwTokens = String(this.columns.length);
    this.root.dataset.iwSteered = String(this.columns.steered);
  }

  private get words(): string {
    return stateSentence(this.live, this.columns.written);
  }

  private press(): void {
    if (this.live.state === "streaming" || this.live.state === "measuring") this.host.act("cancel");
    else this.host.set({});
  }

  private wait(number: number): void {
    this.asked = number;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.live.seq < this.asked) this.say(BUSY);
    }, PATIENCE_MS);
  }

  private answered(): void {
    clearTimeout(this.timer);
    if (this.spoken.textContent === this.said) this.spoken.textContent = "";
    this.said = "";
  }

  /** A sentence about the view itself, until something is answered. */
  private say(sentence: string): void {
    this.said = sentence;
    this.spoken.textContent = sentence;
    this.show();
  }

  private show(): void {
    const { live, root, offline } = this;
    root.dataset.iwState = live.state;
    root.dataset.iwSeq = String(live.seq);
    root.classList.toggle("iw-s-offline", offline);
    // What Python says of the sliders is old while it has not heard of the last turn.
    if (live.seq >= this.asked || offline) {
      this.knobs.show(live, offline || live.state === "empty");
      this.settings.show(live, offline || live.state === "empty");
    }
    const idle = live.variants.every((variant) => !variant.turns.some(turned));
    this.columns.setLive(live, idle && live.knobs.length > 0 ? "Move a slider below." : "");
    this.panel.setLive(live, offline);
    this.dose.setLive(live, offline);
    const busy = live.state === "streaming" || live.state === "measuring";
    const can = busy || live.state === "cancelled" || live.state === "failed";
    this.cancel.hidden = offline || !can;
    this.cancel.textContent = busy ? "Cancel" : "Write again";
    this.sentence.textContent = offline ? "" : this.words;
    this.sentence.title = this.sentence.textContent;
    const failed = live.state === "failed" ? this.words : "";
    const notice = offline ? OFFLINE : this.said || failed;
    this.notice.hidden = notice === "";
    if (this.notice.textContent !== notice) this.notice.textContent = notice;
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.abort.abort();
    this.knobs.destroy();
    this.dose.destroy();
    this.root.remove();
  }
}
