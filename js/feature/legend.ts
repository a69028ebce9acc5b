/** What a card's marks mean, for the foot of whatever shows one. */
import { legend, mark } from "../shared/help";

export function cardLegend(): HTMLElement {
  const sign = (name: string) => mark(`iw-c-m iw-c-m-${name}`);
  return legend(
    [sign("act"), "activation", "The fuller the colour, the stronger it fires on that token"],
    [sign("trigger"), "trigger", "The token on which it fires most strongly in the example"],
    [sign("below"), "below zero", "Dashed: units with two sides, such as neurons"],
    [sign("pos"), "raises", "Raises that token, or feeds that feature"],
    [sign("neg"), "lowers", "Lowers that token, or holds that feature back"],
    [sign("control"), "control", "What chance reaches: random directions, pairs or labels"],
    [sign("sel"), "this feature", "The open feature, and where it stands in a histogram"],
  );
}
