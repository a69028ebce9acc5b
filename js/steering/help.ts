/** The words of help, one sentence per control, and the marks of the legend. */
import { type HelpText, legend, mark } from "../shared/help";
import { FULL } from "./words";

export const HELP: HelpText = {
  title: "How to steer and what you see",
  intro:
    "The model writes the same prompt twice at once: on the left as it is, on the right while values inside it are changed. A text that fits what you expected is no proof: compare with random directions of equal size and with simply asking for it in the prompt.",
  controls: [
    ["Prompt", "type another and press Enter; Shift and Enter begin a new line."],
    [
      "Slider",
      "let it go and the text is written anew, whatever was being written. Arrow keys and a typed number do the same; a double click brings it to rest.",
    ],
    ["add", "the value is added to what the model computes."],
    [
      "pin at",
      "the value takes the place of what the model computes, at every steered token; 0 switches it off.",
    ],
    ["times", "what the model computes is multiplied."],
    [
      "Unit",
      "σ: natural standard deviations; % of norm: of the residual stream's median norm; raw: the model's own.",
    ],
    [
      "Steer",
      "which tokens are changed: all but the first, the end of the prompt and all new ones, or new ones only.",
    ],
    ["Another variant", "a second set of sliders with a text of its own, up to four."],
    ["Tried", "every text so far; a click brings back its sliders, settings and text."],
    ["Dose", "effect and damage over many strengths, beside at least 20 random directions."],
  ],
  words: [
    [
      "Shading",
      `how much steering changed a token's log-probability, on the same text before it; full at ${FULL} nats. Less likely tokens are dashed, too.`,
    ],
    [
      "Seed",
      "all texts share their random draws: where they differ, steering made the difference.",
    ],
    [
      "σ",
      "the standard deviation of the natural value on neutral text. A feature that is rarely active has a small one: many σ may be no more than its usual peak, marked on the track.",
    ],
    [
      "Norm",
      "near half of the stream's norm steering often works best; near all of it, text falls apart.",
    ],
    ["KL", "how far the distribution of the next token moved, averaged over the text."],
    ["∎ and ·", "the token that ended the text, and one that holds only a part of a character."],
    ["Next token", "click a token, or move with arrow keys, to see what could have stood there."],
  ],
};

export function marks(): HTMLElement {
  const sign = (name: string, text?: string) => mark(`iw-s-m-${name}`, text);
  const word = (name: string) => {
    const el = mark(`iw-s-token ${name}`, "word");
    el.style.setProperty("--iw-alpha", "40%");
    return el;
  };
  return legend(
    [word("iw-s-up"), "steering made it likelier", `Fully shaded at ${FULL} nats`],
    [word("iw-s-down"), "less likely", `Fully shaded at ${FULL} nats`],
    [sign("looked", "word"), "looked at", "The panel shows the next token in its place"],
    [sign("handle"), "you turned it", "Drag it, or use arrow keys"],
    [sign("band"), "natural ± 1 σ", "One standard deviation on neutral text, around 0"],
    [sign("peak"), "natural peak", "The largest value on that text"],
  );
}
