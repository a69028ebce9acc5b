/** What is trained, how far it is, and the buttons that act on it. */
import { button, h } from "../shared/dom";
import { fillLine, progressLine } from "../shared/progress";
import { type Action, EMPTY, type Host, type Live, running } from "./state";
import { headline } from "./words";

/** A kernel that has not answered by then is busy with a cell. */
const PATIENCE_MS = 2000;
const MANY = 6;

export class Header {
  readonly el: HTMLElement;
  readonly bar = progressLine("Training", "iw-smooth");
  readonly tabs = h("div", { class: "iw-t-tabs", attrs: { hidden: true } });
  private readonly title = h("b", { class: "iw-topname" });
  private readonly sentence = h("span", { class: "iw-topnews" });
  private readonly pause: HTMLButtonElement;
  private readonly stop: HTMLButtonElement;
  private readonly cancel: HTMLButtonElement;
  private readonly sure: HTMLElement;
  private live: Live = EMPTY;
  private asked: Action | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private names = "";
  private shown = "";
  private offline = false;

  constructor(
    private readonly host: Host,
    private readonly say: (sentence: string) => void,
    help: () => void,
  ) {
    this.pause = button(
      "Pause",
      () => this.act(this.live.state === "paused" ? "resume" : "pause"),
      {
        class: "iw-action",
      },
    );
    this.stop = button("Stop and keep", () => this.act("stop"), {
      class: "iw-action",
      title: "Ends the training now and keeps the dictionary as it is",
    });
    this.cancel = button("Cancel", () => this.ask(true), {
      class: "iw-action",
      title: "Ends the training; asks once more",
    });
    this.sure = h(
      "span",
      { class: "iw-t-sure", attrs: { hidden: true, role: "group", "aria-label": "Cancel?" } },
      "End it unfinished?",
      button("Cancel training", () => this.act("cancel"), { class: "iw-action" }),
      button("Go on", () => this.ask(false), { class: "iw-action" }),
    );
    this.el = h(
      "header",
      { class: "iw-topline" },
      this.title,
      this.sentence,
      h("span", { class: "iw-t-commands" }, this.pause, this.stop, this.cancel, this.sure),
      button("?", help, {
        title: "What everything here means",
        attrs: { "aria-label": "Help" },
      }),
    );
  }

  show(live: Live, shown: string, offline: boolean): void {
    this.offline = offline;
    if (live.state !== this.live.state) {
      this.asked = null;
      clearTimeout(this.timer);
    }
    this.live = live;
    const on = this.on;
    this.title.textContent =
      live.dictionaries.find((each) => each.name === shown)?.title ?? "Training";
    this.title.title = live.model ? `${this.title.textContent}, of ${live.model}` : "";
    const text = headline(live, shown, offline);
    this.sentence.textContent = text;
    this.sentence.title = text;
    this.bar.hidden = live.state === "empty";
    fillLine(this.bar, live.progress, text);
    for (const el of [this.pause, this.stop, this.cancel]) el.hidden = !on || !this.sure.hidden;
    if (!on || this.asked === "cancel") this.ask(false);
    const names = { pause: "Pausing", resume: "Resuming", stop: "Stopping", cancel: "Cancelling" };
    const rest = live.state === "paused" ? "Resume" : "Pause";
    const waiting = this.asked === "pause" || this.asked === "resume";
    this.pause.textContent = waiting && this.asked ? names[this.asked] : rest;
    this.stop.textContent = this.asked === "stop" ? names.stop : "Stop and keep";
    this.cancel.textContent = this.asked === "cancel" ? names.cancel : "Cancel";
    for (const el of [this.pause, this.stop, this.cancel]) el.disabled = this.asked !== null;
    this.showTabs(live, shown);
  }

  /** Without a kernel nothing goes on: no buttons that nobody hears. */
  private get on(): boolean {
    return running(this.live.state) && !this.offline;
  }

  private ask(open: boolean): void {
    if (this.sure.hidden === !open) return;
    const inside = this.sure.contains(this.sure.ownerDocument.activeElement);
    this.sure.hidden = !open;
    for (const el of [this.pause, this.stop, this.cancel]) {
      el.hidden = open || !this.on;
    }
    if (open) this.sure.querySelector<HTMLElement>("button:last-child")?.focus();
    else if (inside) this.cancel.focus();
  }

  private act(what: Action): void {
    this.ask(false);
    if (!this.host.act(what)) return;
    this.asked = what;
    this.show(this.live, this.shown, this.offline);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.asked) this.say("The kernel is busy with a cell: it acts when that is done.");
    }, PATIENCE_MS);
  }

  /** One tab per dictionary; more than a row of them becomes a list. */
  private showTabs(live: Live, shown: string): void {
    const names = live.dictionaries.map((each) => each.name).join("\n");
    const fresh = names !== this.names;
    const moved = shown !== this.shown;
    this.names = names;
    this.shown = shown;
    if (!fresh && !moved) return;
    this.tabs.hidden = live.dictionaries.length < 2;
    if (fresh) this.makeTabs(live);
    const select = this.tabs.querySelector("select");
    if (select) select.value = shown;
    for (const tab of this.tabs.querySelectorAll<HTMLElement>("[role=tab]")) {
      const on = tab.dataset.name === shown;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
    }
  }

  private makeTabs(live: Live): void {
    const { dictionaries } = live;
    const choose = (name: string) => this.host.choose({ shown: name });
    if (dictionaries.length > MANY) {
      const select = h(
        "select",
        {
          class: "iw-input",
          attrs: { "aria-label": "Dictionary" },
          on: { change: () => choose(select.value) },
        },
        ...dictionaries.map(({ name, title }) =>
          h("option", { attrs: { value: name } }, name === title ? name : `${name}: ${title}`),
        ),
      );
      this.tabs.replaceChildren(
        h("label", {}, "dictionary ", select, ` of ${dictionaries.length}`),
      );
      return;
    }
    this.tabs.setAttribute("role", "tablist");
    this.tabs.setAttribute("aria-label", "Dictionaries");
    const tabs = dictionaries.map(({ name, title }) =>
      button(name, () => choose(name), {
        class: "iw-t-tab",
        title,
        attrs: { role: "tab", "data-name": name },
        on: {
          keydown: (event) => {
            const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
            if (!step) return;
            const at = tabs.indexOf(event.currentTarget as HTMLButtonElement);
            const next = tabs[(at + step + tabs.length) % tabs.length];
            next.focus();
            next.click();
            event.preventDefault();
          },
        },
      }),
    );
    this.tabs.replaceChildren(...tabs);
  }

  destroy(): void {
    clearTimeout(this.timer);
  }
}
