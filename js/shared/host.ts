/**
 * What the anywidget side of every view does alike: it tells Python and finds out whether a kernel
 * is there to hear it, listens to the model until the view goes, and notices when news stay away.
 */
import type { AnyModel } from "@anywidget/types";

export type Send = (message: object) => boolean;

/** True when a kernel heard it; `offline` hears every time whether there is none. */
export function sender<T extends Record<string, unknown>>(
  model: AnyModel<T>,
  offline: (gone: boolean) => void,
): Send {
  return (message) => {
    try {
      model.send(message);
      offline(false);
      return true;
    } catch {
      offline(true);
      return false;
    }
  };
}

/**
 * A choice of the user's as state and as a message: other views and the saved notebook see the
 * traits, and the message gets through where a kernel holds traits back while a cell awaits.
 */
export function choose<T extends Record<string, unknown>>(
  model: AnyModel<T>,
  send: Send,
  values: object,
): boolean {
  for (const [name, value] of Object.entries(values)) model.set(name, value as never);
  try {
    model.save_changes();
  } catch {
    // There is no kernel; `send` says so.
  }
  return send({ type: "set", values });
}

/** Handlers by the name of the model's event; what it returns takes them off again. */
export function listen<T extends Record<string, unknown>>(
  model: AnyModel<T>,
  handlers: Readonly<Record<string, (...args: never[]) => void>>,
): () => void {
  const all = Object.entries(handlers) as [string, (...args: unknown[]) => void][];
  for (const [name, handler] of all) model.on(name as never, handler as never);
  return () => {
    for (const [name, handler] of all) model.off(name as never, handler as never);
  };
}

/** Calls `then` when what was just put on the page has been drawn. */
export function drawn(then: () => void): void {
  requestAnimationFrame(() => setTimeout(then));
}

const SILENT = "No news from the kernel for a while; it may be busy, or gone.";

const LOOK_MS = 2000;

/** What to say now, `ms` at the most after the last news; null where what is `said` stays. */
export function silence(said: string, heard: number, ms: number): string | null {
  const silent = performance.now() - heard > ms;
  if (silent && said === "") return SILENT;
  return !silent && said === SILENT ? "" : null;
}

/**
 * Looks every two seconds, until `signal` aborts, how long ago the last news were: `heard` gives
 * the time of them, null while none are due; `said` what the view says, which `say` replaces.
 */
export function watchSilence(
  ms: number,
  heard: () => number | null,
  said: () => string,
  say: (sentence: string) => void,
  signal: AbortSignal,
): void {
  const watch = setInterval(() => {
    const last = heard();
    const sentence = last === null ? null : silence(said(), last, ms);
    if (sentence !== null) say(sentence);
  }, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(watch));
}
