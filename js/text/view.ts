/** The whole text view. It knows no notebook: the widget gives it data, state and a host. */
import { h } from "../shared/dom";
import { Help } from "../shared/help";
import { History } from "../shared/history";
import { watchSilence } from "../shared/host";
import { followTheme } from "../shared/theme";
import { type Binary, decode, decodeUsual } from "./buffer";
import { Chosen } from "./chosen";
import { codeOf, Firing } from "./firing";
import { Header } from "./header";
import { HELP, Legend } from "./help";
import { Matrix } from "./matrix";
import { Prompt } from "./prompt";
import { choose, NO_ROWS, type Shown, shades } from "./rank";
import { type Choice, EMPTY, type Host, type Live, NOTHING, sameChoice } from "./state";
import { hint, readout, rowsSentence, stateSentence, tokensText } from "./words";

/** While it computes, news come several times a second; a long run takes some seconds. */
const SILENCE_MS = 20_000;

type Hover = { readonly row: number | null; readonly position: number | null };
const NOWHERE: Hover = { row: null, position: null };

export class View {
  readonly root = h("div", {
    class: "iw-root iw-prompttext",
    attrs: {
      "data-iw-state": "pending",
      "data-jp-suppress-context-menu": true,
      role: "region",
      "aria-label": "Features on a prompt",
    },
  });
  private readonly abort = new AbortController();
  private readonly header: Header;
  private readonly prompt: Prompt;
  private readonly matrix: Matrix;
  private readonly legend = new Legend();
  private readonly line = h("span", { class: "iw-x-sentence" });
  private readonly chosen: Chosen;
  private readonly read = h("div", { class: "iw-x-read" });
  private readonly spoken = h("div", {
    class: "iw-hidden",
    attrs: { role: "status", "aria-live": "polite" },
  });
  private readonly history = new History<Choice>(sameChoice);
  private live: Live = EMPTY;
  private firing: Firing | null = null;
  private usual: Binary = null;
  private shown: Shown = NO_ROWS;
  private choice: Choice = NOTHING;
  private before: Choice | null = null;
  private query = "";
  private hover: Hover = NOWHERE;
  private broken = "";
  private offline = false;
  private alone = false;
  private heard = 0;
  private said = "";
  private asked = "";

  constructor(
    parent: HTMLElement,
    private readonly host: Host,
  ) {
    const { root } = this;
    const { signal } = this.abort;
    const help = new Help(HELP, () =>
      root.querySelector<HTMLElement>("[aria-label=Help]")?.focus(),
    );
    this.header = new Header({
      find: (query) => {
        this.query = query;
        this.rank();
      },
      layers: (layers) => this.change({ layers }),
      arrange: (arrange) => this.change({ arrange }),
      undo: () => this.undo(),
      help: () => help.toggle(),
      cancel: () => void host.act("cancel"),
      resume: () => void host.act("resume"),
    });
    this.prompt = new Prompt(
      {
        brush: (tokens, done) => this.brush(tokens, done),
        hover: (position) => this.point({ row: null, position }),
        run: (prompt) => this.run(prompt),
      },
      signal,
    );
    this.matrix = new Matrix(
      {
        pick: (row, add) => this.pick(row, add),
        brush: (tokens, done) => this.brush(tokens, done),
        hover: (row, position) => this.point({ row, position }),
        rows: (rows) => this.change({ rows }),
      },
      signal,
    );
    this.chosen = new Chosen({
      next: () => this.matrix.names.nextSelected(),
      send: (to) => {
        if (!host.send(to)) this.speak("No kernel hears it.");
      },
      clear: () => this.clear(),
    });
    root.append(
      this.header.el,
      this.header.bar,
      this.header.notice,
      this.prompt.el,
      h("div", { class: "iw-x-line" }, this.line, this.chosen.el),
      this.matrix.el,
      this.read,
      this.legend.el,
      help.el,
      this.spoken,
    );
    parent.append(root);
    followTheme(root, () => this.matrix.recolor(), signal);
    root.addEventListener("keydown", (event) => this.pressed(event, help), { signal });
    watchSilence(
      SILENCE_MS,
      () => (this.live.state === "computing" && !this.offline ? this.heard : null),
      () => this.said,
      (said) => {
        this.said = said;
        this.show();
      },
      signal,
    );
    this.rank();
  }

  // --- what Python sends ---------------------------------------------------------------------

  setLive(live: Partial<Live>): void {
    const before = this.live;
    this.live = { ...EMPTY, ...live };
    this.heard = performance.now();
    this.said = "";
    if (before.state !== this.live.state) {
      const sentence = stateSentence(this.live);
      this.speak(sentence || (before.state === "computing" ? "Done." : ""));
    }
    if (before.prompt !== this.live.prompt) this.asked = ""; // a prompt that was refused stays
    if (this.live.told && this.live.told !== before.told) this.speak(this.live.told);
    this.show();
  }

  setData(value: Binary): void {
    try {
      const data = decode(value);
      this.firing = data ? new Firing(data) : null;
      this.broken = "";
    } catch (error) {
      this.firing = null;
      this.broken = error instanceof Error ? error.message : String(error);
    }
    this.hover = NOWHERE;
    this.matchUsual();
    this.rank();
  }

  setUsual(value: Binary): void {
    this.usual = value;
    this.matchUsual();
    this.rank();
  }

  private matchUsual(): void {
    try {
      this.firing?.setUsual(decodeUsual(this.usual));
    } catch (error) {
      this.broken = error instanceof Error ? error.message : String(error);
    }
  }

  /** What was chosen in Python, or in another display of this view. */
  setChoice(choice: Partial<Choice>): void {
    const next = { ...this.choice, ...choice };
    if (sameChoice(next, this.choice)) return;
    this.choice = next;
    this.rank();
  }

  setHeight(height: number): void {
    this.root.style.height = `${height}px`;
  }

  setOffline(offline: boolean): void {
    if (this.offline === offline || this.alone) return;
    this.offline = offline;
    this.show();
  }

  /** There is no kernel and never was: a page of its own. */
  setAlone(): void {
    this.alone = true;
    this.prompt.setFixed();
    this.show();
  }

  // --- what a user does ----------------------------------------------------------------------

  private change(values: Partial<Choice>): void {
    const before = this.before ?? this.choice;
    this.before = null;
    this.choice = { ...this.choice, ...values };
    if (sameChoice(before, this.choice)) {
      this.rank();
      return;
    }
    this.history.record(before);
    this.rank(); // at once; the kernel hears of it behind
    this.host.choose(values);
  }

  /** A drag is one change, whatever it passes over. */
  private brush(tokens: readonly number[], done: boolean): void {
    if (done) {
      this.change({ tokens });
      const { firing } = this;
      if (firing && tokens.length > 0) {
        const best = this.shown.rows[0];
        const first = best === undefined ? "" : `; first: ${firing.name(best)}`;
        this.speak(`Brushed ${tokensText(firing, tokens)}${first}`);
        this.reveal(tokens[0]);
      }
      this.matrix.toTop();
      return;
    }
    this.before ??= this.choice;
    this.choice = { ...this.choice, tokens };
    this.rank();
  }

  private pick(row: number, add: boolean): void {
    const { firing } = this;
    if (!firing) return;
    const unit = firing.unit(row);
    const code = codeOf(unit);
    const { selected } = this.choice;
    const on = selected.some((each) => codeOf(each) === code);
    const others = selected.filter((each) => codeOf(each) !== code);
    if (add) this.change({ selected: on ? others : [...selected, unit] });
    else this.change({ selected: on && others.length === 0 ? [] : [unit] });
    const left = this.choice.selected.length;
    if (!on) this.reveal(firing.peakAt[row]);
    this.speak(`${firing.name(row)} ${left > 0 && !on ? "selected" : "taken"}, ${left} in all`);
  }

  private reveal(position: number): void {
    this.matrix.revealToken(position);
    this.prompt.reveal(position);
  }

  private clear(): void {
    if (this.choice.selected.length + this.choice.tokens.length === 0) return;
    this.hover = NOWHERE;
    this.change({ selected: [], tokens: [] });
    this.speak("Nothing is selected.");
  }

  private undo(): void {
    const before = this.history.undo(this.choice);
    if (!before) return;
    this.choice = before;
    this.rank();
    this.host.choose(before);
    this.speak("Undone.");
  }

  private run(prompt: string): void {
    this.asked = this.host.run(prompt) ? prompt : "";
    this.show();
  }

  private point(hover: Hover): void {
    if (hover.row === this.hover.row && hover.position === this.hover.position) return;
    this.hover = hover;
    this.show();
  }

  private pressed(event: KeyboardEvent, help: Help): void {
    const undo = event.key === "z" && (event.ctrlKey || event.metaKey);
    const field = /^(INPUT|TEXTAREA)$/.test((event.target as HTMLElement).tagName);
    // JupyterLab has commands on bare keys; keys with Ctrl or Cmd stay its own.
    if (undo ? !field : !event.ctrlKey && !event.metaKey) event.stopPropagation();
    if (undo && !field) {
      event.preventDefault();
      this.undo();
    } else if (event.key === "Escape" && help.el.hidden && !field) this.clear();
  }

  // --- what is on screen ---------------------------------------------------------------------

  private rank(): void {
    this.shown = this.firing ? choose(this.firing, this.choice, this.query) : NO_ROWS;
    this.show();
  }

  private show(): void {
    const { root, live, firing, choice, shown, hover } = this;
    const stale = live.state === "computing" && firing?.data.header.prompt !== live.prompt;
    const news = stateSentence(live, stale && firing !== null);
    const sentence = this.broken || this.said || news;
    root.dataset.iwState = live.state;
    root.dataset.iwTokens = choice.tokens.join(" ");
    root.dataset.iwSelected = choice.selected.map(codeOf).join(" ");
    root.dataset.iwPrompt = firing?.data.header.prompt ?? "";
    root.dataset.iwIndexed = String((firing?.indexedTokens ?? 0) > 0);
    this.header.show(live, choice, sentence, this.offline, this.alone, this.history.canUndo);
    this.legend.setTwoSided(live.unit !== "feature");
    this.prompt.el.hidden = firing === null;
    this.matrix.el.hidden = firing === null;
    this.chosen.el.hidden = firing === null;
    if (!firing) {
      this.line.textContent = "";
      this.read.textContent = "";
      return;
    }
    const { header } = firing.data;
    root.classList.toggle("iw-x-stale", stale);
    const selected = choice.selected.map((unit) => firing.rowOf(unit)).filter((row) => row >= 0);
    const shading = selected.length === 0 && hover.row !== null ? [hover.row] : selected;
    this.prompt.setTokens(
      firing.tokens,
      header.special,
      this.asked || live.prompt || header.prompt,
    );
    this.prompt.show(choice.tokens, shades(firing, shading), hover.position);
    this.matrix.show({
      firing,
      shown,
      selected: new Set(selected),
      brushed: choice.tokens,
      hover,
      arrange: choice.arrange,
      limit: choice.rows,
    });
    const waiting = firing.rows === 0 && live.state !== "done";
    this.line.textContent = waiting ? "" : rowsSentence(firing, shown, choice, this.query);
    this.line.title = this.line.textContent ?? "";
    this.chosen.show(firing, live, choice, shown.silent);
    const more = hover.row === null ? null : shown.more(hover.row);
    this.read.textContent =
      readout(firing, hover.row, hover.position, more) || (waiting ? "" : hint(live.unit));
  }

  private speak(text: string): void {
    if (text) this.spoken.textContent = text;
  }

  destroy(): void {
    this.abort.abort();
    this.root.remove();
  }
}
