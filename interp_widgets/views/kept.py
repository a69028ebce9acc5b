"""A view and, behind it, a picture: a notebook without a kernel shows the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget


class KeptView(anywidget.AnyWidget):
    """A view that leaves a picture in the notebook.

    A page that shows the view hides the picture that follows it (each view's style.css).
    """

    def _keep(self, update: Callable[[Any], None]) -> None:
        """Show the picture through `update`, now and whenever it changes."""
        raise NotImplementedError

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        reference = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        view = {"application/vnd.jupyter.widget-view+json": reference, "text/plain": repr(self)}
        display(view, raw=True)
        handle = display(HTML(""), display_id=True)
        if handle is not None:
            self._keep(handle.update)
