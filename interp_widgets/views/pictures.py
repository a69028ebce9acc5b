"""What the pictures of all views have in common: colours, text as markup, images, and a page around.

They are on paper, so the colours are those of the light look.
"""

from __future__ import annotations

import base64
import html

PAPER, INK, SOFT, RULE = "#fbf8f1", "#2b2a27", "#746f66", "#ebe5d8"
POS, NEG, SEL = "#01665e", "#a6611a", "#d6006c"


def page(picture: str, title: str) -> str:
    """A page of its own around a picture; title: plain text."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n</head>\n<body>\n{picture}\n</body>\n</html>\n"
    )


def markup(text: str) -> str:
    """What shows a text as it is."""
    # XML forbids most control characters, and a token may be one.
    kept = "".join(c if c in "\t\n\r" or ord(c) >= 32 else "\ufffd" for c in text)
    return html.escape(kept)


def source(svg: str) -> str:
    """What `src` of an image names to show an SVG."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
