"""A real Chromium, kept on this machine, and what a person does in it."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from e2e.servers import JupyterServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

SCREENSHOTS = pathlib.Path(__file__).parents[2] / "test-results"
HERE = ("http://127.0.0.1:", "http://localhost:", "ws://127.0.0.1:", "file:", "data:", "blob:")

FLAGS = [
    "--no-sandbox",  # a container's root may not make one
    "--disable-dev-shm-usage",  # /dev/shm is small in containers
    "--use-angle=swiftshader",  # the same pixels with and without a GPU
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    # Names of other machines do not resolve, for pages, workers and sockets alike.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    # Chromium itself would ask for updates, lists and certificates.
    "--disable-background-networking",
    "--disable-component-update",
]

# Where JupyterLab and Notebook 7 keep their own core; widgets and their managers live elsewhere.
HOSTS_OWN_CORE = ("/static/lab/", "/static/notebook/")


def chromium() -> str:
    """The path of the system's Chromium; playwright's own download is never used."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("no Chromium: install one (`make chromium`), or set CHROMIUM to its path")
    return found


class Visit:
    """One page, one test: what it asked of the outside, and what went wrong in it.

    Playwright's listeners run while the test is inside a call to it, so read these after one.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.outside: list[str] = []
        self.problems: list[str] = []
        context.on("request", lambda request: self._note_address(request.url))
        self.page: Page = context.new_page()
        self.page.on("websocket", lambda socket: self._note_address(socket.url))
        self.page.on("pageerror", lambda error: self._note(str(error), origin=error.stack or ""))
        self.page.on("console", self._listen)

    def _note_address(self, url: str) -> None:
        if not url.startswith(HERE):
            self.outside.append(url)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(message.text, origin=message.text + message.location["url"])

    def forget_dead_widgets(self) -> None:
        """A saved output of a kernel that has gone has no model any more, and Lab says so."""
        self.problems[:] = [p for p in self.problems if "widget model not found" not in p.lower()]

    def _note(self, problem: str, *, origin: str) -> None:
        # Notebook 7 trips over a setting of its own on some starts ("reading 'schema'"). A widget's
        # module comes from a blob, so what has passed through one is never the host's own.
        hosts_own = any(core in origin for core in HOSTS_OWN_CORE) and "blob:" not in origin
        if not hosts_own:
            self.problems.append(problem)


@contextmanager
def visit(browser: Browser, name: str, *, width: int = 1280, height: int = 900) -> Iterator[Visit]:
    """A fresh profile with one page; a screenshot of how it ended is always kept."""
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(60_000)
    visit = Visit(context)
    try:
        yield visit
    finally:
        SCREENSHOTS.mkdir(exist_ok=True)
        file_name = re.sub(r"\W+", "-", name).strip("-")
        visit.page.screenshot(path=SCREENSHOTS / f"{file_name}.png")
        context.close()


def open_and_run(page: Page, server: JupyterServer, notebook: str) -> None:
    """Opens a notebook, waits for its kernel, starts all cells and returns at once.

    What should appear is for the test to wait for. Starting too early is the classic flake:
    the command does nothing while the session has no kernel, so every step is awaited.
    """
    page.goto(server.page_of(notebook, workspace=uuid.uuid4().hex[:8]))
    page.wait_for_function("() => window.jupyterapp !== undefined")
    page.evaluate("() => window.jupyterapp.restored")
    page.wait_for_function(f"() => {PANEL}?.sessionContext.isReady")
    page.evaluate(
        f"""async () => {{
          const panel = {PANEL};
          await panel.revealed;
          await panel.context.ready;
          await panel.sessionContext.session.kernel.info;
        }}"""
    )
    page.wait_for_function(f"() => {PANEL}.sessionContext.session.kernel.status === 'idle'")
    command(page, "notebook:run-all-cells")


# Lab knows a current widget; Notebook 7 has one in its main area.
PANEL = (
    "[window.jupyterapp.shell.currentWidget, ...window.jupyterapp.shell.widgets('main')]"
    ".find((widget) => widget?.sessionContext)"
)


def command(page: Page, name: str, **options: str) -> None:
    """Starts a command of JupyterLab, as its menus do, without waiting for its result."""
    page.evaluate(
        "([name, options]) => { void window.jupyterapp.commands.execute(name, options) }",
        [name, options],
    )


def save_notebook(page: Page) -> None:
    """Saves the notebook on the page; returns when the file is written."""
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save').then(() => true)")


def run_code(page: Page, code: str) -> None:
    """Starts code in the notebook's kernel as a cell would; `await_code` waits for its end."""
    page.evaluate(
        f"""(code) => {{
          const kernel = {PANEL}.sessionContext.session.kernel;
          window.codeDone = false;
          kernel.requestExecute({{ code, store_history: false }})
            .done.then(() => {{ window.codeDone = true; }});
        }}""",
        code,
    )


def await_code(page: Page) -> None:
    page.wait_for_function("() => window.codeDone")
