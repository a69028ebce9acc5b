/** The words of help, one sentence per control, and the marks of the legend. */
import { type HelpText, legend, mark } from "../shared/help";

export const HELP: HelpText = {
  title: "How to read and steer this training",
  intro:
    "A dictionary learns to rebuild the model's activations from few features at a time. The curves say how well it does; the list says what its features respond to, while they form. The figure is training.figure: restyle it as any plotly figure.",
  controls: [
    ["Pause, Resume", "holds the training between two steps; nothing is lost."],
    ["Stop and keep", "ends it now; training.dictionary() is what it has become."],
    ["Cancel", "ends it, too, and says so; it asks once more."],
    [
      "Settings",
      "the field takes a number and Enter; the slider applies when you let it go. Undo goes back to the value before.",
    ],
    ["Charts", "drag to zoom into all four curves, double-click to see all again."],
    ["Features", "click one for more examples; Escape or “back” returns to the list."],
    ["Number", "type a feature's number and Enter to open it."],
  ],
  words: [
    ["Loss", "what the training makes smaller: reconstruction and whatever the recipe adds."],
    [
      "FVU",
      "fraction of variance unexplained: squared error divided by that of always predicting the mean. 0 is perfect, 1 is the mean.",
    ],
    ["L0", "how many features are active on a token, on average."],
    ["Dead", "a feature that has not fired for a long while."],
    ["How often", "the share of recent tokens on which a feature fired."],
    ["Trigger", "the token of an example on which the feature fired most strongly; underlined."],
    ["Applied from", "the first step that used a new setting; the charts mark it."],
  ],
};

export function marks(): HTMLElement {
  const sign = (name: string) => mark(`iw-t-m-${name}`);
  return legend(
    [sign("line"), "mean of neighbouring steps", "At most 240 points a curve"],
    [sign("control"), "control", "What a simple method reaches: PCA of the same rank"],
    [sign("changed"), "you changed a setting", "The first step that used it"],
    [sign("bar"), "features", "How many features fire how often"],
    [sign("act"), "activation", "The darker, the stronger the feature fired on that token"],
    [sign("trigger"), "strongest token", "Where the feature fired most strongly in this example"],
  );
}
