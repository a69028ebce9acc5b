/** What stands where an answer will be: a way to ask, or how far the work is. */
import { button, type Child, h } from "../../shared/dom";
import { percent } from "../../shared/format";
import type { Context } from "./acting";
import type { Answers, Task } from "./state";

const NO_KERNEL = "No kernel behind this view: run its cell again.";

/** A sentence why nothing can be asked; empty where it can. */
export function unable({ store }: Context): string {
  const { answers, offline, status } = store.state;
  if (offline) return NO_KERNEL;
  if (answers.unable) return answers.unable;
  if (status.state === "computing") return "The graph is still being computed.";
  if (status.state === "done" || status.state === "empty") return "";
  return "The graph is not complete: run its cell again.";
}

/** The button that asks, or a sentence that says why it cannot. */
export function asking(context: Context, text: string, ask: () => void, why: string): Child[] {
  const sentence = unable(context);
  const press = button(text, ask, { class: "iw-ask", attrs: { disabled: sentence !== "" } });
  return [
    h("div", { class: "iw-asking" }, press),
    (sentence || why) &&
      h("p", { class: "iw-note", attrs: sentence ? { role: "status" } : {} }, sentence || why),
  ];
}

/** How far the work is, with a way to stop it; or how it ended, if not well. */
export function progress(
  context: Context,
  what: keyof Answers,
  task: Task<unknown, unknown>,
): Child {
  if (task.state === "computing") {
    const stop = button("Cancel", () => {
      if (!context.model.cancel(what)) return;
      stop.textContent = "Cancelling";
      stop.disabled = true;
    });
    return h(
      "div",
      { class: "iw-working", attrs: { role: "status" } },
      h("span", {}, `${task.message || "Asking the model"} ${percent(task.progress)}`),
      stop,
      h("div", { class: "iw-thinbar", style: { "--iw-fill": percentOf(task) } }, h("i")),
    );
  }
  if (task.state === "failed" || task.state === "cancelled") {
    const text = task.message || (task.state === "failed" ? "It failed." : "Cancelled.");
    return h("p", { class: "iw-note iw-problem", attrs: { role: "status" } }, text);
  }
  return null;
}

function percentOf(task: Task<unknown, unknown>): string {
  return `${Math.max(2, task.progress * 100)}%`;
}

export function notes(texts: readonly string[]): Child[] {
  return texts.map((text) => h("p", { class: "iw-note" }, text));
}
