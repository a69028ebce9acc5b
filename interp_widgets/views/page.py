"""A view as one HTML page: no kernel, no network, nothing to install.

The page carries what `npm run build` made for it, `static/<view>-standalone.js` and
`static/<view>.css`, and what it shows as JSON. Prompts, tokens and labels in it are strangers' text:
"<" is an escape there, so no text can end an element early.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from . import built

#: For a page that is one view, as high as the window.
WHOLE_WINDOW = "html,body{margin:0;height:100%}"


def standalone(
    view: str,
    shown: Mapping[str, Any],
    title: str,
    *,
    style: str = WHOLE_WINDOW,
    head: str = "",
    body: str = "",
) -> str:
    """A page whose script mounts a view.

    Args:
        view: "graph", "text" or "features"; its script defines `interpWidgets<View>.mountPage`.
        shown: what mountPage reads.
        title: plain text.
        style: CSS behind the view's own.
        head, body: markup before the title, and behind the element in which the view is mounted.

    Raises FileNotFoundError where the views are not built, ValueError for numbers that JSON lacks.
    """
    bundle = built.STATIC / f"{view}-standalone.js"
    if not bundle.exists():
        raise FileNotFoundError(
            "The view is not built: run `npm install` and `npm run build` in the repository."
        )
    css = (built.STATIC / f"{view}.css").read_text("utf-8") + style
    payload = json.dumps(shown, allow_nan=False).replace("<", "\\u003c")
    script = bundle.read_text("utf-8").replace("</script", "<\\/script")
    css = css.replace("</style", "<\\/style")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'{head}<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{css}</style>\n</head>\n"
        f'<body class="iw-page">\n<div class="iw-mount"></div>\n{body}'
        f'<script type="application/json" class="iw-data">{payload}</script>\n'
        f"<script>{script}</script>\n"
        f"<script>interpWidgets{view.capitalize()}.mountPage(document)</script>\n</body>\n</html>\n"
    )
