/** The whole ablation view. It knows no notebook: the widget gives it state and a host. */
import { h } from "../shared/dom";
import { number } from "../shared/format";
import { Help } from "../shared/help";
import { watchSilence } from "../shared/host";
import { followTheme } from "../shared/theme";
import { Choices } from "./choices";
import { Header } from "./header";
import { Heatmap } from "./heatmap";
import { HELP, Legend } from "./help";
import { Panel } from "./panel";
import {
  type Direction,
  EMPTY,
  type Host,
  type Live,
  type PanelId,
  type Part,
  parsePart,
  partId,
  type Result,
  resultKey,
  span,
} from "./state";
import { effect, itemName, methodSentence, partName, says, stateSentence, withUnit } from "./words";

/** While it computes, news come several times a second; a long task takes a second or two. */
const SILENCE_MS = 15_000;

export class View {
  readonly root = h("div", {
    class: "iw-root iw-ablation",
    attrs: {
      "data-iw-state": "pending",
      "data-jp-suppress-context-menu": true,
      role: "region",
      "aria-label": "Ablation",
    },
  });
  private readonly abort = new AbortController();
  private readonly header: Header;
  private readonly choices: Choices;
  private readonly method = h("p", { class: "iw-a-method" });
  private readonly answers = h("div", { class: "iw-a-answers" });
  private readonly heatmap: Heatmap;
  private readonly panel: Panel;
  private readonly legend = new Legend();
  private readonly spoken = h("div", {
    class: "iw-hidden",
    attrs: { role: "status", "aria-live": "polite" },
  });
  private live: Live = EMPTY;
  private shown: PanelId = "residual";
  private direction: Direction = "noising";
  private selected: readonly string[] = [];
  private pointed: Part | null = null;
  /** By method: what was computed in one direction stays while the other is shown. */
  private readonly values = new Map<string, Float32Array>();
  private readonly lives = new Map<string, Live>();
  private readonly results = new Map<string, Result>();
  private offline = false;
  private heard = 0;
  private said = "";

  constructor(
    parent: HTMLElement,
    private readonly host: Host,
  ) {
    const { root } = this;
    const { signal } = this.abort;
    const help = new Help(HELP, () =>
      root.querySelector<HTMLElement>("[aria-label=Help]")?.focus(),
    );
    this.header = new Header(host, () => help.toggle());
    this.heatmap = new Heatmap(
      (part, add) => this.pick(partId(part), add),
      () => this.select([]),
      (part) => {
        this.pointed = part;
        this.showAnswers();
      },
    );
    this.choices = new Choices(
      (shown) => this.choose(shown),
      (direction) => this.turn(direction),
    );
    this.panel = new Panel(
      (ids) => {
        this.select(ids);
        const part = ids.length === 1 ? parsePart(ids[0]) : null;
        if (part) this.heatmap.reveal(part);
      },
      (id) => this.pick(id, true),
    );
    root.append(
      this.header.el,
      this.header.bar,
      this.header.notice,
      h(
        "div",
        { class: "iw-a-body" },
        h(
          "div",
          { class: "iw-a-main" },
          this.choices.el,
          this.method,
          this.heatmap.el,
          this.answers,
        ),
        this.panel.el,
      ),
      this.legend.el,
      help.el,
      this.spoken,
    );
    parent.append(root);
    followTheme(root, () => {}, signal);
    // JupyterLab has commands on bare keys; keys with Ctrl or Cmd stay its own.
    root.addEventListener(
      "keydown",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
      },
      { signal },
    );
    root.addEventListener(
      "keydown",
      (event) => {
        if (event.key === "Escape" && help.el.hidden && this.selected.length > 0) this.select([]);
      },
      { signal },
    );
    const resized = new ResizeObserver(() => this.heatmap.fit());
    resized.observe(this.heatmap.el);
    signal.addEventListener("abort", () => resized.disconnect());
    watchSilence(
      SILENCE_MS,
      () => (this.now.state === "computing" && !this.offline ? this.heard : null),
      () => this.said,
      (said) => {
        this.said = said;
        this.show();
      },
      signal,
    );
    this.show();
  }

  // --- what Python sends ---------------------------------------------------------------------

  receive(live: Partial<Live>, values: Float32Array): void {
    const full = { ...EMPTY, ...live };
    const before = this.lives.get(full.method)?.state;
    this.lives.set(full.method, full);
    this.values.set(full.method, values);
    this.heard = performance.now();
    if (before !== full.state) {
      this.said = "";
      this.spoken.textContent = stateSentence(full);
    }
    this.live = full;
    this.show();
  }

  setResult(result: Result): void {
    const key = resultKey(result.direction, result.ids);
    const kept = this.results.get(key);
    // An answer that is on its way must not replace one that is complete.
    if (kept?.stage === "done" && result.stage === "computing") return;
    this.results.set(key, result);
    if (key === this.key && result.effect && !kept?.effect) this.speak(result);
    this.show();
  }

  /** What was chosen, here or in Python. */
  setChoice(shown: PanelId, direction: Direction, selected: readonly string[]): void {
    this.shown = shown;
    this.direction = direction;
    this.selected = [...selected];
    this.show();
  }

  setHeight(height: number): void {
    this.root.style.height = `${height}px`;
    this.heatmap.fit();
  }

  setOffline(offline: boolean): void {
    if (this.offline === offline) return;
    this.offline = offline;
    this.show();
  }

  // --- what a user does ----------------------------------------------------------------------

  private get key(): string {
    return resultKey(this.direction, this.selected);
  }

  private pick(id: string, add: boolean): void {
    if (!add) this.select([id]);
    else if (this.selected.includes(id)) this.select(this.selected.filter((each) => each !== id));
    else this.select([...this.selected, id]);
  }

  private select(selected: readonly string[]): void {
    this.selected = [...selected];
    this.show(); // at once, with what is known; the kernel hears of it behind
    this.host.choose({ selected: [...selected] });
  }

  private choose(shown: PanelId): void {
    this.shown = shown;
    this.show();
    this.host.choose({ shown });
  }

  private turn(direction: Direction): void {
    this.direction = direction;
    this.show();
    this.host.choose({ direction });
  }

  // --- what is on screen ---------------------------------------------------------------------

  /** The state of the direction that is chosen; the other one's until there is any. */
  private get now(): Live {
    const { live } = this;
    if (live.corrupted === null || live.method === this.direction) return live;
    return (
      this.lives.get(this.direction) ?? {
        ...live,
        state: live.state === "empty" ? "empty" : "computing",
        method: this.direction,
        metric: null,
        progress: 0,
        message: "",
      }
    );
  }

  private show(): void {
    const live = this.now;
    const values = this.values.get(live.method) ?? new Float32Array();
    const result = this.results.get(this.key) ?? null;
    const { root } = this;
    root.dataset.iwState = live.state;
    root.dataset.iwShown = this.shown;
    root.dataset.iwDirection = this.direction;
    root.dataset.iwSelected = this.selected.join(" ");
    root.dataset.iwResult = this.selected.length > 0 ? (result?.stage ?? "asked") : "";
    this.header.show(live, this.offline, this.said);
    this.choices.show(live, this.shown, this.direction);
    this.method.textContent = live.state === "empty" ? "" : methodSentence(live);
    if (live.warning) this.method.append(" ", h("span", { class: "iw-a-warning" }, live.warning));
    this.heatmap.show(live, this.shown, values, this.selected);
    this.showAnswers();
    this.panel.show({
      live: { ...live, progress: 0, message: "", state: live.state === "empty" ? "empty" : "done" },
      selected: this.selected,
      result,
      known: this.selected.map((id) => this.valueOf(live, values, id)),
      strongest: this.selected.length > 0 ? [] : this.strongest(live, values),
      offline: this.offline,
    });
    const { metric } = live;
    this.legend.setFull(
      metric
        ? `full: ${withUnit(number(metric.scale), metric.unit)}${metric.full === null ? "" : ", all of the difference"}`
        : "full effect",
    );
  }

  /** Below the heatmap: what both runs say, or the mark under the pointer. */
  private showAnswers(): void {
    const live = this.now;
    const { metric, answers } = live;
    if (this.pointed && metric) {
      const values = this.values.get(live.method) ?? new Float32Array();
      const value = this.valueOf(live, values, partId(this.pointed));
      const whole = this.pointed.layer === null || this.pointed.index === null;
      const text = Number.isFinite(value)
        ? withUnit(effect(value, metric.scale), metric.unit)
        : whole
          ? "click to measure all of it at once"
          : "not computed yet";
      this.answers.textContent = `${partName(this.pointed, live)}: ${text}`;
    } else if (answers) {
      const other = answers.corrupted ? ` · corrupted: ${says(answers.corrupted)}` : "";
      const name = answers.corrupted ? "clean" : "the model";
      this.answers.textContent = `next token, ${name}: ${says(answers.clean)}${other}`;
    } else this.answers.textContent = "";
  }

  private valueOf(live: Live, values: Float32Array, id: string): number {
    const part = parsePart(id);
    if (!part || part.layer === null || part.index === null) return Number.NaN;
    const [start] = span(live, part.panel);
    const columns = live.panels.find((each) => each.id === part.panel)?.columns ?? 0;
    return values[start + part.layer * columns + part.index] ?? Number.NaN;
  }

  private strongest(live: Live, values: Float32Array): (readonly [string, number])[] {
    const columns = live.panels.find((each) => each.id === this.shown)?.columns ?? 0;
    const [start, size] = span(live, this.shown);
    const floor = 0.01 * (live.metric?.scale ?? 1);
    return [...values.subarray(start, start + size)]
      .map((value, at) => [at, value] as const)
      .filter(([, value]) => Math.abs(value) > floor)
      .sort(([, a], [, b]) => Math.abs(b) - Math.abs(a))
      .slice(0, 7)
      .map(([at, value]) => {
        const part = { panel: this.shown, layer: Math.floor(at / columns), index: at % columns };
        return [partId(part), value] as const;
      });
  }

  private speak(result: Result): void {
    const { metric } = this.now;
    if (!metric || !result.effect) return;
    const names = result.ids.map((id) => itemName(id, this.now)).join(" and ");
    const joint = withUnit(effect(result.effect.joint, metric.scale), metric.unit);
    this.spoken.textContent = `${names}: ${joint}`;
  }

  destroy(): void {
    this.abort.abort();
    this.heatmap.destroy();
    this.root.remove();
  }
}
