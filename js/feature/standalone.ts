/** Cards in a page of their own: no kernel, no network. `features.page` writes such pages. */
import { h } from "../shared/dom";
import { rows } from "../shared/help";
import { followTheme } from "../shared/theme";
import { FeatureCard } from "./card";
import { cardLegend } from "./legend";
import { WORDS } from "./sections";
import type { Card } from "./state";

interface Page {
  readonly title?: string;
  readonly cards: readonly Card[];
}

const NO_KERNEL = "This page has no model behind it: open the notebook to try a text.";

/** Draws what the page's `script.iw-data` holds into its `.iw-mount`, or at its end. */
export function mountPage(page: Document): HTMLElement {
  const text = page.querySelector(".iw-data")?.textContent ?? "";
  const mount = page.querySelector<HTMLElement>(".iw-mount") ?? page.body;
  return mountCards(mount, JSON.parse(text) as Page);
}

export function mountCards(mount: HTMLElement, { title, cards }: Page): HTMLElement {
  const { signal } = new AbortController();
  const places = new Map<string, HTMLElement>();
  const spots = new Set(cards.map(({ name }) => name));
  const root = h("div", {
    class: "iw-root iw-cards",
    attrs: { "data-iw-state": "ready", role: "region", "aria-label": title || "Features" },
  });
  // A card says its own name.
  if (title && title !== cards[0]?.name) root.append(h("h3", { class: "iw-cardstitle" }, title));
  for (const card of cards) {
    const shown = new FeatureCard(
      {
        label() {},
        open: (layer, feature) => {
          const place = places.get(`L${layer}/${feature}`);
          place?.scrollIntoView({ block: "start" });
          place?.focus({ preventScroll: true });
        },
        // Another feature can be gone to if it is on this page.
        opens: (layer, feature) => spots.has(`L${layer}/${feature}`),
        elsewhere: "not on this page",
      },
      signal,
    );
    shown.el.tabIndex = -1;
    shown.setUnable(NO_KERNEL);
    shown.set({ ...card, pending: false });
    places.set(card.name, shown.el);
    root.append(shown.el);
  }
  if (cards.length === 0) root.append(h("p", { class: "iw-cardsempty" }, "No features."));
  else root.append(foot());
  mount.append(root);
  followTheme(root, () => {}, signal);
  return root;
}

/** Marks and words explained, for a page that has no help over it. */
function foot(): HTMLElement {
  return h(
    "div",
    { class: "iw-cardsfoot" },
    cardLegend(),
    h(
      "details",
      {},
      h("summary", {}, "what the words mean"),
      h("div", { class: "iw-help" }, h("dl", {}, ...rows(WORDS))),
    ),
    h("p", { class: "iw-c-soft" }, NO_KERNEL),
  );
}
