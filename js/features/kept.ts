/** Cards seen before, so that going back shows at once what is known. */
import type { Card } from "../feature/state";

const MOST = 60;

export class KeptCards {
  private readonly cards = new Map<string, Card>();

  get(name: string): Card | null {
    return this.cards.get(name) ?? null;
  }

  /** As it is to be shown: what was known stays while the rest of it is computed again. */
  keep(card: Card): Card {
    const before = this.cards.get(card.name);
    let full = card;
    if (before && card.pending && !before.pending) {
      const known = Object.entries(before).filter(
        ([key, value]) => value !== null && card[key as keyof Card] === null && key !== "label",
      );
      full = { ...card, ...Object.fromEntries(known) };
    }
    this.cards.delete(card.name);
    this.cards.set(card.name, full);
    for (const oldest of this.cards.keys()) {
      if (this.cards.size <= MOST) break;
      this.cards.delete(oldest);
    }
    return full;
  }
}
