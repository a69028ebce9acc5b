/** What the tests of all views share: a page of jsdom's, and text that must stay text. */
import { expect, vi } from "vitest";

export const HOSTILE = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'&amp;`;

/** Hostile text is there to be read, and none of it has become an element. */
export function expectText(el: Element): void {
  expect(el.textContent).toContain("<img src=x");
  expect(el.querySelectorAll("img, script, iframe").length).toBe(0);
}

/** jsdom lays nothing out, so there is nothing to observe. */
export function stubSizes(): void {
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      disconnect() {}
    },
  );
}
