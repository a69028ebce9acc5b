/** Every sentence and number form of the view, as functions of what Python sent. */
import { count, number, percent } from "../shared/format";
import type { Change, Live } from "./state";

/** 950, 34k, 1.25M, 3.1B: three digits. */
export function amount(value: number): string {
  if (value < 1000) return count(Math.round(value));
  const [size, sign] =
    value >= 999.5e6
      ? [1e9, "B"]
      : value >= 999.5e3
        ? ([1e6, "M"] as const)
        : ([1e3, "k"] as const);
  const scaled = value / size;
  return `${scaled
    .toFixed(scaled >= 99.5 ? 0 : scaled >= 9.95 ? 1 : 2)
    .replace(/(\.\d*?)0+$/, "$1")
    .replace(/\.$/, "")}${sign}`;
}

/** About how long: 40 s, 6 min, 2 h 10 min. */
export function duration(seconds: number): string {
  if (seconds < 0.5) return "0 s";
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const rest = minutes % 60;
  return `${Math.floor(minutes / 60)} h${rest ? ` ${rest} min` : ""}`;
}

const sentence = (text: string): string =>
  text === "" || /[.!?…]$/.test(text) ? text : `${text}.`;

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What is going on. The same words go to screen readers when the state changes. */
export function stateSentence(live: Live, shown: string): string {
  const name = live.dictionaries.length > 1 ? JSON.stringify(shown) : "";
  const result = `training.dictionary(${name}) is the result.`;
  const done = `${amount(live.tokens)} of ${amount(live.total)} tokens`;
  switch (live.state) {
    case "empty":
      return "No training yet: iw.train(…) as the last line of a cell shows itself here.";
    case "computing": {
      if (live.step === 0) return `${capital(live.message || "starting")} …`;
      const parts = [done];
      if (/^reading/.test(live.message)) parts.push(live.message);
      if (live.rate) parts.push(`${amount(live.rate)} tokens/s`);
      if (live.left !== null) parts.push(`${duration(live.left)} left`);
      return parts.join(", ");
    }
    case "paused":
      return `Paused at step ${count(live.step)}, ${done}.`;
    case "done":
      return `Finished: ${amount(live.tokens)} tokens. ${result}`;
    case "stopped":
      return `${sentence(live.message) || `Stopped at ${done}.`} ${result}`;
    case "cancelled":
      return sentence(live.message) || `Cancelled at ${done}.`;
    case "failed":
      return sentence(live.message) || "The training failed. Run its cell again.";
  }
}

/** The short form beside the title; a notice below says the rest. */
export function headline(live: Live, shown: string, offline: boolean): string {
  const at = `step ${count(live.step)}, ${amount(live.tokens)} of ${amount(live.total)} tokens`;
  if (offline) return `Last seen at ${at}.`;
  return live.state === "failed" ? `Failed at ${at}.` : stateSentence(live, shown);
}

export const SETTING: Readonly<Record<string, string>> = {
  lr: "learning rate",
  k: "k",
  sparsity: "sparsity",
};

/** As one would type it: 0.0003, 32, 1e-7. Also what the field holds. */
export function plain(value: number): string {
  return String(Number(value.toPrecision(3)));
}

export function changeSentence(change: Change): string {
  const from = `${plain(change.old)} → ${plain(change.new)}`;
  return `${SETTING[change.what] ?? change.what} ${from}, applied from step ${count(change.step)}`;
}

/** A slider is 0 to 1 on a log scale. */
export function toSlider(value: number, [low, high]: readonly [number, number]): number {
  if (!(value > 0)) return 0;
  const at = Math.log(value / low) / Math.log(high / low);
  return Math.min(1, Math.max(0, at));
}

export function fromSlider(
  at: number,
  [low, high]: readonly [number, number],
  whole: boolean,
): number {
  const value = low * (high / low) ** at;
  return whole ? Math.max(1, Math.round(value)) : Number(value.toPrecision(2));
}

export interface Figure {
  readonly name: string;
  readonly value: string;
  /** What to compare it with, or what it counts. */
  readonly beside: string;
  readonly title: string;
}

/** The four numbers, each with its control where the training has one. */
export function figures(live: Live): Figure[] {
  const { numbers, controls, settings } = live;
  const say = (key: string, write: (value: number) => string) => {
    const value = numbers[key];
    return value === null || value === undefined ? "–" : write(value);
  };
  const on = controls.tokens ? ` on ${amount(controls.tokens)} tokens` : "";
  const compared = (metric: string) =>
    Object.entries(controls)
      .filter(([key, value]) => key.toLowerCase().startsWith(`${metric} of`) && value !== null)
      .map(
        ([key, value]) => `${key.slice(metric.length + 4)}: ${number(value ?? Number.NaN)}${on}`,
      );
  return [
    {
      name: "loss",
      value: say("loss", number),
      beside: compared("loss").join(", ") || "mean of the last steps",
      title: "What the training makes smaller, sparsity and dead-feature terms included",
    },
    {
      name: "FVU",
      value: say("fvu", number),
      beside: ["the mean: 1", ...compared("fvu")].join(" · "),
      title:
        "Fraction of variance unexplained: squared error over tokens and dimensions, divided by that of always predicting the mean",
    },
    {
      name: "L0",
      value: say("l0", number),
      beside: settings.k === undefined ? "features per token" : `of k ${plain(settings.k)}`,
      title: "How many features are active on a token, on average",
    },
    {
      name: "dead features",
      value: say("dead_share", percent),
      beside: live.size ? `of ${count(live.size)}` : "",
      title: "Share of features that have not fired for a long while (the recipe's dead_after)",
    },
  ];
}

/** How often, in words; the list says on how many tokens. */
export function often(density: number): string {
  return density > 0 ? percent(density) : "dead";
}
