/** The words of help, one sentence per control and section. */
import { WORDS } from "../feature/sections";
import type { HelpText } from "../shared/help";

export const HELP: HelpText = {
  title: "How to find out what a feature means",
  intro:
    "A feature is a direction that a dictionary found in the model. The list finds features; the card says where one fires, what it writes, what it is close to, and what somebody called it, with how well that name holds.",
  controls: [
    ["Named", "finds labels that hold all words; L2/117 and Enter opens that one."],
    [
      "Fires on word",
      "features that are active on this word in the indexed texts, and on little else.",
    ],
    [
      "Fires on text",
      "runs the model on a text and lists what fires, nearest to its own strongest first.",
    ],
    [
      "Promotes token",
      "features whose decoder raises this token most, in standard deviations (σ) over all tokens.",
    ],
    [
      "Label",
      "click the name to change it: Enter keeps, Escape forgets, an empty one takes it away.",
    ],
    ["Suggest", "proposes labels from examples and logits, each tested on text it has not seen."],
    ["Test text", "type and see it fire, token by token; Enter sends at once."],
    ["Example", "a click copies it into the test text."],
    ["Raised word", "a click lists all features that raise it, the strongest first."],
    ["Histogram", "point at a bar, or walk with the arrow keys, to see what it counts."],
    ["Compare", "opens a second feature beside the first; both read the same test text."],
    ["Steer", "sends the feature to a linked steering, or gives the line of code."],
    [
      "Keys",
      "down goes from the field into the list, arrows walk there, Enter opens; Alt with left and right goes back and forward; F2 on the name changes it; Escape puts suggestions and help away.",
    ],
  ],
  words: WORDS,
};
