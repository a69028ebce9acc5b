/** What the parts of a card mean, a sentence each: their headings say it, and so does help. */
import type { Terms } from "../shared/help";

export const SECTIONS = {
  examples: "The strongest places in the indexed texts, centred on the token it fires on",
  negative: "Where it is most strongly below zero: neurons and directions have two sides",
  groups: "Examples from every range of strength, not only the strongest",
  density: "How often it fires, among all features of its layer; the axis is logarithmic",
  activations: "How strongly it fires, over all tokens on which it does",
  logits:
    "Next tokens that it raises and lowers by its direct path to the output, scales of norms left out",
  similar: "Features of any layer whose decoder points the same way (cosine)",
  together: "Features that fire on the same tokens: shared tokens over all tokens of either",
  upstream: "Features whose decoders feed its encoder (virtual weights)",
  downstream: "Features whose encoders its decoder feeds (virtual weights)",
  effect:
    "Who reads what it writes, by layer: squared cosines of the ten strongest readers, above what random directions get",
} as const;

/** A section’s heading as it explains itself, inside a list of words. */
const inside = (text: string): string => `${text.charAt(0).toLowerCase()}${text.slice(1)}.`;

export const WORDS: Terms = [
  ["Fires on", inside(SECTIONS.examples)],
  ["By strength", inside(SECTIONS.groups)],
  ["How often", inside(SECTIONS.density)],
  ["How strongly", inside(SECTIONS.activations)],
  ["Raises, lowers", inside(SECTIONS.logits)],
  ["Effect", inside(SECTIONS.effect)],
  ["Same way", inside(SECTIONS.similar)],
  ["Together", inside(SECTIONS.together)],
  ["Reads from", inside(SECTIONS.upstream)],
  ["Is read by", inside(SECTIONS.downstream)],
  [
    "Separates",
    "how well a label tells active text from other text: .5 is chance, 1 is perfect; random labels stand beside it.",
  ],
];
