/** The words of help, one sentence per control and section, and the marks of the legend. */
import { SECTIONS } from "../feature/card";
import { type HelpText, legend, mark } from "../shared/help";

/** A section’s heading as it explains itself, inside a list of words. */
const inside = (text: string): string => `${text.charAt(0).toLowerCase()}${text.slice(1)}.`;

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
    ["Compare", "opens a second feature beside the first; both read the same test text."],
    ["Steer", "sends the feature to a linked steering, or gives the line of code."],
  ],
  words: [
    ["Fires on", inside(SECTIONS.examples)],
    ["By strength", inside(SECTIONS.groups)],
    ["How often", inside(SECTIONS.density)],
    ["How strongly", inside(SECTIONS.activations)],
    ["Raises, lowers", inside(SECTIONS.logits)],
    ["Same way", inside(SECTIONS.similar)],
    ["Together", inside(SECTIONS.together)],
    ["Reads from", inside(SECTIONS.upstream)],
    ["Is read by", inside(SECTIONS.downstream)],
    ["Effect", inside(SECTIONS.effect)],
    [
      "Separates",
      "how well a label tells active text from other text: .5 is chance, 1 is perfect; random labels stand beside it.",
    ],
  ],
};

export function marks(): HTMLElement {
  const sign = (name: string) => mark(`iw-f-m iw-f-m-${name}`);
  return legend(
    [sign("act"), "activation", "The darker, the stronger it fires on that token"],
    [sign("trigger"), "trigger", "The token on which it fires most strongly in the example"],
    [sign("below"), "below zero", "Dashed: units with two sides, such as neurons"],
    [sign("pos"), "raises", "Raises that token, or feeds that feature"],
    [sign("neg"), "lowers", "Lowers that token, or holds that feature back"],
    [sign("control"), "control", "What chance reaches: random directions, pairs or labels"],
    [sign("sel"), "this feature", "The open feature, and where it stands in a histogram"],
  );
}
