"""Real Jupyter servers, each in a home of its own, and a second ear at their kernels.

A server gets a free port from the system and tells it through its runtime file. Nothing of the
user's Jupyter settings, kernels or history reaches it; the one thing shared is the folder of
prepared model weights, which would take minutes to prepare again.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
from jupyter_client import BlockingKernelClient

from e2e.waiting import until
from interp_widgets.models.cache import cache_folder

TOKEN = "end-to-end"

# The application's class, where its options live, and the page that opens one notebook.
APPLICATIONS = {
    "lab": ("LabApp", "lab/workspaces/{workspace}/tree/{notebook}"),
    "notebook": ("JupyterNotebookApp", "notebooks/{notebook}"),
}


# A kernel answers when its cell is done, and a demo's cell may load a model on a busy machine.
LONGEST_CELL = 300


class JupyterServer:
    """One running server; `application` is "lab" (JupyterLab) or "notebook" (Notebook 7)."""

    def __init__(self, application: str, folder: pathlib.Path) -> None:
        self.application = application
        self.folder = folder
        self.root = folder / "notebooks"
        self.log = folder / "server.log"
        self.root.mkdir()
        self._silence_news()
        self._process = self._start()
        try:
            self.url: str = until(self._address, f"{application} to start", deadline=90)
            until(lambda: self.get("api/status"), f"{application} to answer", deadline=60)
        except BaseException:
            self.stop()
            raise

    # Life -----------------------------------------------------------------------------------

    def _silence_news(self) -> None:
        # A question about news would lie over the page under test and reach for the network.
        settings = self.folder / "settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text(
            json.dumps({"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True})
        )

    def _start(self) -> subprocess.Popen[bytes]:
        application_class, _ = APPLICATIONS[self.application]
        command = [
            *(sys.executable, "-m", "jupyter", self.application),
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            "--ServerApp.port=0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={self.root}",
            # Tests run commands of the application instead of hunting for menu entries.
            f"--{application_class}.expose_app_in_browser=True",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.root,
            )

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.folder),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            # The kernel of the Python that runs the tests, whatever the system offers besides.
            "JUPYTER_PREFER_ENV_PATH": "1",
            "INTERP_WIDGETS_CACHE": str(cache_folder()),
        }

    def _address(self) -> str:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.application} ended at once:\n{self.log.read_text()[-4000:]}")
        (runtime_file,) = (self.folder / "runtime").glob("jpserver-*.json")
        return str(json.loads(runtime_file.read_text())["url"]).rstrip("/")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    # Notebooks ------------------------------------------------------------------------------

    def write_notebook(self, name: str, *cells: str) -> str:
        """A notebook of code cells in the server's folder; returns `name`."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, self.root / name)
        return name

    def page_of(self, notebook: str, workspace: str) -> str:
        """The address of a notebook, in an emptied workspace: Lab reopens what a test left."""
        _, pattern = APPLICATIONS[self.application]
        path = pattern.format(notebook=notebook, workspace=workspace)
        return f"{self.url}/{path}?token={TOKEN}&reset"

    # Kernels --------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        return json.loads(self._call("GET", path))

    def end_kernels(self) -> None:
        for session in self.get("api/sessions"):
            self._call("DELETE", f"api/sessions/{session['id']}")

    def _call(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(
            f"{self.url}/{path}", method=method, headers={"Authorization": f"token {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            return bytes(reply.read())

    @contextlib.contextmanager
    def kernel(self, notebook: str) -> Iterator[Callable[[str], Any]]:
        """A second client of a notebook's kernel: `ask("view.selected")` returns its value.

        It does not go through the browser, so it says what Python holds and not what the page
        believes. An answer must fit into JSON.
        """
        connection = until(lambda: self._connection_file(notebook), f"a kernel of {notebook}")
        client = BlockingKernelClient(connection_file=str(connection))
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=LONGEST_CELL)
            yield lambda expression: _ask(client, expression)
        finally:
            client.stop_channels()

    def _connection_file(self, notebook: str) -> pathlib.Path | None:
        for session in self.get("api/sessions"):
            if session["path"] == notebook:
                return self.folder / "runtime" / f"kernel-{session['kernel']['id']}.json"
        return None


def _ask(client: BlockingKernelClient, expression: str) -> Any:
    reply = client.execute_interactive(
        "",
        silent=True,
        store_history=False,
        user_expressions={"answer": f"__import__('json').dumps({expression})"},
        timeout=LONGEST_CELL,
    )
    answer = reply["content"]["user_expressions"]["answer"]
    if answer["status"] != "ok":
        # RuntimeError, so that `until` does not take a typing error for "not yet".
        raise RuntimeError(f"{expression}: {answer['ename']}: {answer['evalue']}")
    # The kernel sends the repr of the JSON text: a Python string literal.
    return json.loads(ast.literal_eval(answer["data"]["text/plain"]))
