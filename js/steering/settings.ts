/** The prompt, and how text is drawn: temperature, seed, length, stop, where steering acts. */
import { button, h } from "../shared/dom";
import { minus, typed } from "../shared/format";
import {
  type Change,
  EMPTY,
  type Host,
  type Live,
  type Settings as Values,
  type Where,
} from "./state";
import { WHERE } from "./words";

type Name = "temperature" | "seed" | "length" | "stop";

const FIELDS: readonly (readonly [Name, string, string])[] = [
  ["temperature", "temperature", "0 always takes the likeliest token; 1 draws as the model says"],
  ["seed", "seed", "The same draws for every text, so that they differ by steering alone"],
  ["length", "length", "At most so many new tokens"],
  ["stop", "stop at", "Text at which writing ends; several with | between them"],
];

export class Settings {
  readonly prompt: HTMLTextAreaElement;
  readonly el = h("div", {
    class: "iw-s-settings",
    attrs: { role: "group", "aria-label": "Settings" },
  });
  private readonly fields = new Map<Name, HTMLInputElement>();
  private readonly another: HTMLButtonElement;
  private readonly where: HTMLSelectElement;
  private readonly chat = h("input", {
    attrs: { type: "checkbox" },
    on: { change: () => this.apply({ chat: this.chat.checked }) },
  });
  private readonly chatBox = h(
    "label",
    { class: "iw-s-check", title: "Puts the prompt into the tokenizer's chat template" },
    this.chat,
    "chat",
  );
  private live: Live = EMPTY;
  private held: Name | "prompt" | null = null;

  constructor(
    private readonly host: Host,
    private readonly say: (sentence: string) => void,
  ) {
    this.prompt = h("textarea", {
      class: "iw-s-prompt",
      attrs: { "aria-label": "Prompt", rows: 1, spellcheck: "false" },
      on: {
        input: () => {
          this.held = "prompt";
        },
        change: () => this.enterPrompt(),
        keydown: (event) => {
          if (event.key === "Enter" && !event.shiftKey) {
            event.preventDefault();
            this.enterPrompt();
          } else if (event.key === "Escape") this.release();
        },
      },
    });
    for (const [name, label, title] of FIELDS) {
      const input = h("input", {
        class: `iw-input iw-s-number iw-s-${name}`,
        attrs: { type: "text", spellcheck: "false", "aria-label": label },
        on: {
          input: () => {
            this.held = name;
          },
          change: () => this.enter(name),
          keydown: (event) => {
            if (event.key === "Enter") this.enter(name);
            else if (event.key === "Escape") this.release();
          },
        },
      });
      this.fields.set(name, input);
      this.el.append(h("label", { class: "iw-s-setting", title }, label, input));
      if (name === "seed") this.el.append(this.makeAnother());
    }
    this.another = this.el.querySelector("button") as HTMLButtonElement;
    this.where = h(
      "select",
      {
        class: "iw-input",
        on: { change: () => this.apply({ where: this.where.value as Where }) },
      },
      ...WHERE.map(([value, text]) => h("option", { attrs: { value } }, text)),
    );
    this.el.append(
      h(
        "label",
        { class: "iw-s-setting", title: "The positions whose values are changed" },
        "steer",
        this.where,
      ),
      this.chatBox,
    );
  }

  private makeAnother(): HTMLButtonElement {
    return button("another", () => this.apply({ seed: this.live.settings.seed + 1 }), {
      title: "The next seed",
    });
  }

  show(live: Live, off: boolean): void {
    this.live = live;
    const { settings } = live;
    if (off) this.held = null;
    for (const [name, input] of this.fields) {
      input.disabled = off;
      if (this.held !== name) put(input, text(settings, name));
    }
    this.prompt.disabled = off;
    if (this.held !== "prompt") put(this.prompt, settings.prompt);
    this.prompt.title = settings.prompt;
    this.another.hidden = settings.temperature === 0;
    for (const el of [this.where, this.chat, this.another]) el.disabled = off;
    this.where.value = settings.where;
    this.chat.checked = settings.chat;
    this.chatBox.hidden = !live.template;
  }

  private enterPrompt(): void {
    if (this.held !== "prompt") return;
    this.held = null;
    const prompt = this.prompt.value;
    if (prompt.trim() === "") {
      this.refuse("The prompt is empty: give at least one word.");
    } else if (prompt !== this.live.settings.prompt) this.apply({ prompt });
  }

  private enter(name: Name): void {
    if (this.held !== name) return;
    this.held = null;
    const input = this.fields.get(name) as HTMLInputElement;
    if (name === "stop") {
      if (input.value !== this.live.settings.stop) this.apply({ stop: input.value });
      return;
    }
    const value = typed(input.value);
    const whole = name !== "temperature";
    const low = name === "length" ? 1 : 0;
    if (value === null || value < low || (whole && !Number.isInteger(value))) {
      const kind = whole ? "a whole number" : "a number";
      this.refuse(`${name} is ${kind} of at least ${low}, not “${input.value.slice(0, 20)}”.`);
    } else if (value !== this.live.settings[name]) this.apply({ [name]: value });
  }

  private apply(values: Change): void {
    if (!this.host.set(values)) this.release();
  }

  private refuse(problem: string): void {
    this.say(problem);
    this.release();
  }

  private release(): void {
    this.held = null;
    this.show(this.live, this.prompt.disabled);
  }
}

function put(el: HTMLInputElement | HTMLTextAreaElement, value: string): void {
  if (el.value !== value) el.value = value;
}

function text(settings: Values, name: Name): string {
  return name === "stop" ? settings.stop : minus(String(settings[name]));
}
