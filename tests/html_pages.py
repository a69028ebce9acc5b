"""A page as a browser without scripts sees it."""

from __future__ import annotations

import html.parser


class Page(html.parser.HTMLParser):
    """What stands in a page.

    tags: of all elements, in order; links: what `src` and `href` name; text: without markup.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data
