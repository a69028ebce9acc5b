/** What is selected, and what can be done with it. */
import { button, h } from "../shared/dom";
import { count } from "../shared/format";
import type { Firing } from "./firing";
import type { Choice, Live } from "./state";

export interface ChosenPort {
  next(): void;
  send(to: number): void;
  clear(): void;
}

export class Chosen {
  readonly el = h("span", { class: "iw-x-chosen" });
  private key = "";

  constructor(private readonly port: ChosenPort) {}

  /** silent: names of selected features that do not fire on this prompt. */
  show(firing: Firing, live: Live, choice: Choice, silent: readonly string[]): void {
    const rows = choice.selected.map((unit) => firing.rowOf(unit)).filter((row) => row >= 0);
    const names = rows.map((row) => firing.name(row));
    const { neighbours, told } = live;
    const key = JSON.stringify([choice.selected, choice.tokens, neighbours, told, names, silent]);
    if (key === this.key) return; // a button that is about to be pressed stays
    this.key = key;
    this.el.replaceChildren();
    const some = choice.selected.length;
    if (some + choice.tokens.length === 0) return;
    if (some > 0) this.add(names, some, silent.length, live);
    this.el.append(
      button("clear", () => this.port.clear(), {
        title: "Nothing selected, nothing brushed (Escape)",
      }),
    );
  }

  private add(names: readonly string[], some: number, silent: number, live: Live): void {
    const called = some === 1 && names.length === 1 ? names[0] : count(some);
    const quiet = silent === 0 ? "" : ` (${silent === some ? "" : `${silent} `}silent here)`;
    this.el.append(
      button(`${called} selected${quiet}`, () => this.port.next(), {
        class: "iw-x-picked",
        title: "Goes to the next selected row",
      }),
    );
    for (const [to, { name, verb }] of live.neighbours.entries()) {
      const title = `Sends the selected ${live.unit}s to the ${name}`;
      this.el.append(button(verb, () => this.port.send(to), { class: "iw-strong", title }));
    }
    if (live.told) this.el.append(h("span", { class: "iw-x-soft iw-x-told" }, live.told));
  }
}
