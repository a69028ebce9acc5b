"""What `npm run build` made of js/: the modules and style sheets that the views carry."""

from __future__ import annotations

import pathlib

STATIC = pathlib.Path(__file__).parent.parent / "static"

_NOT_BUILT = """
export default {
  render({ el }) {
    el.textContent = "This view is not built yet: run npm install and npm run build.";
  },
};
"""


def module(name: str) -> pathlib.Path | str:
    """The path of a view's module, or one that says what is missing."""
    path = STATIC / name
    return path if path.exists() else _NOT_BUILT


def style(name: str) -> pathlib.Path | str:
    """The path of a view's style sheet; no style where it is not built."""
    path = STATIC / name
    return path if path.exists() else ""
