/** One node or group: what the graph predicts, what the model says, what random ones do. */
import { append, button, type Child, h } from "../../shared/dom";
import type { Context, Part } from "./acting";
import { effects } from "./effects";
import { type CheckAsked, type Checked, type Factor, NO_ANSWERS, type Task } from "./state";
import { asking, notes, progress } from "./waiting";

const FACTORS: readonly [Factor, string, string][] = [
  [0, "ablate", "Set it to zero"],
  [-1, "× −1", "Turn it round"],
  [2, "× 2", "Double it"],
];
/** Answers are small; this many are kept here, so that a second look costs nothing. */
const REMEMBERED = 200;

type CheckTask = Task<CheckAsked, Checked>;

export class CheckPart implements Part {
  readonly el = h("div", { class: "iw-check" });
  /** Indices of the features or neurons asked about. */
  nodes: readonly number[] = [];
  private factor: Factor = 0;
  /** All targets are listed, and not the first few. */
  private all = false;
  private readonly known = new Map<string, CheckTask>();

  constructor(private readonly context: Context) {}

  /** Answers come one at a time; the ones before stay readable. */
  remember(): void {
    const { check } = this.context.store.state.answers;
    if (check.state !== "done") return;
    this.known.set(key(check.asked), check);
    const [oldest] = this.known.keys();
    if (this.known.size > REMEMBERED) this.known.delete(oldest);
  }

  private get asked(): CheckAsked {
    const { graph } = this.context.store.state;
    return { ids: this.nodes.map((i) => graph?.ids[i] ?? ""), factor: this.factor };
  }

  /** What is known about this selection, or is being found out. */
  private get task(): CheckTask {
    const { check } = this.context.store.state.answers;
    const wanted = key(this.asked);
    if (key(check.asked) === wanted && check.state !== "none") return check;
    return this.known.get(wanted) ?? NO_ANSWERS.check;
  }

  /** The user asked for an answer; one that is there already is not asked for again. */
  start(): void {
    const known = ["done", "computing"].includes(this.task.state);
    if (this.nodes.length > 0 && !known) this.context.model.ask({ what: "check", ...this.asked });
  }

  update(): void {
    const { task } = this;
    this.el.dataset.iwCheck = task.state;
    this.el.replaceChildren();
    append(this.el, [this.head(), ...this.body(task)]);
  }

  private head(): HTMLElement {
    return h(
      "div",
      { class: "iw-factors", attrs: { role: "group", "aria-label": "What is done to it" } },
      ...FACTORS.map(([factor, text, title]) =>
        button(
          text,
          () => {
            this.factor = factor;
            this.start();
            this.update();
          },
          {
            class: factor === this.factor ? "iw-factor iw-open" : "iw-factor",
            title,
            attrs: { "aria-pressed": factor === this.factor ? "true" : "false" },
          },
        ),
      ),
    );
  }

  private body(task: CheckTask): Child[] {
    const { context } = this;
    if (task.result) {
      return [
        progress(context, "check", task),
        effects(context, task.result, this.all, () => {
          this.all = true;
          this.update();
        }),
        ...notes(task.result.notes),
      ];
    }
    if (task.state === "computing") return [progress(context, "check", task)];
    return [
      progress(context, "check", task),
      ...asking(
        context,
        "Check against the model",
        () => this.start(),
        "Runs the model with this changed, and as many times with random nodes of equal size.",
      ),
    ];
  }
}

/** The same nodes in another order are the same question. */
function key(asked: CheckAsked): string {
  return `${asked.factor}|${[...asked.ids].sort().join(" ")}`;
}
