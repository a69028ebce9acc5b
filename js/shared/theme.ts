/** Colours follow the host: JupyterLab, VS Code, a page's own dark class, then the system. */

export interface Theme {
  readonly paper: string;
  readonly panel: string;
  readonly ink: string;
  readonly mute: string;
  readonly rule: string;
  readonly pos: string;
  readonly neg: string;
  readonly sel: string;
  readonly node: string;
}

const TOKENS: (keyof Theme)[] = [
  "paper",
  "panel",
  "ink",
  "mute",
  "rule",
  "pos",
  "neg",
  "sel",
  "node",
];

/** A canvas cannot use `var()`: read the tokens of the style sheet back. */
export function readTheme(el: Element): Theme {
  const css = getComputedStyle(el);
  const entries = TOKENS.map((name) => [
    name,
    css.getPropertyValue(`--iw-${name}`).trim() || "#888",
  ]);
  return Object.fromEntries(entries) as unknown as Theme;
}

export function isDark(): boolean {
  const body = document.body;
  const html = document.documentElement;
  const lab = body.dataset.jpThemeLight ?? html.dataset.jpThemeLight;
  if (lab !== undefined) return lab === "false";
  const code = body.dataset.vscodeThemeKind;
  if (code !== undefined) return code.includes("dark") || code === "vscode-high-contrast";
  if (body.classList.contains("vscode-dark")) return true;
  if (body.classList.contains("vscode-light")) return false;
  for (const el of [html, body]) {
    const named = el.dataset.theme ?? el.getAttribute("theme");
    if (named === "dark" || el.classList.contains("dark")) return true;
    if (named === "light" || el.classList.contains("light")) return false;
  }
  return globalThis.matchMedia?.("(prefers-color-scheme: dark)").matches ?? false;
}

/** Keeps `data-iw-theme` on `root` right and calls `onChange` after every flip. */
export function followTheme(root: HTMLElement, onChange: () => void, signal: AbortSignal): void {
  const apply = () => {
    const theme = isDark() ? "dark" : "light";
    if (root.dataset.iwTheme === theme) return;
    root.dataset.iwTheme = theme;
    onChange();
  };
  const observer = new MutationObserver(apply);
  for (const target of [document.documentElement, document.body]) {
    observer.observe(target, {
      attributes: true,
      attributeFilter: [
        "class",
        "theme",
        "data-theme",
        "data-jp-theme-light",
        "data-vscode-theme-kind",
      ],
    });
  }
  signal.addEventListener("abort", () => observer.disconnect());
  globalThis
    .matchMedia?.("(prefers-color-scheme: dark)")
    .addEventListener("change", apply, { signal });
  apply();
}

export function reducedMotion(): boolean {
  return globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;
}
