"""A small Hugging Face hub on this machine: enough of its interface for the real client to fetch."""

from __future__ import annotations

import hashlib
import json
import pathlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(repositories: dict[str, pathlib.Path]) -> Iterator[tuple[str, list[str]]]:
    """Serves folders as repositories owner/name; gives the address, and what was fetched."""
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                self.about("/".join(parts[2:4]), listed="tree" in parts[4:5])
            elif parts[2:3] == ["resolve"]:
                self.file("/".join(parts[:2]), "/".join(parts[4:]), body)
            else:
                self.say(404, b"", {})

        def about(self, repo: str, listed: bool) -> None:
            if repo not in repositories:
                self.say(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return
            root = repositories[repo]
            files = sorted(path for path in root.rglob("*") if path.is_file())
            names = [path.relative_to(root).as_posix() for path in files]
            answer: object = {"id": repo, "sha": COMMIT, "tags": [], "private": False,
                              "siblings": [{"rfilename": name} for name in names]}  # fmt: skip
            if listed:
                answer = [
                    {"type": "file", "path": name, "size": path.stat().st_size, "oid": "0" * 40}
                    for name, path in zip(names, files, strict=True)
                ]
            self.say(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

        def file(self, repo: str, name: str, body: bool) -> None:
            content = (repositories[repo] / name).read_bytes()
            if body:
                fetched.append(f"{repo}/{name}")
            tag = hashlib.sha1(content).hexdigest()
            headers = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}
            self.say(200, content if body else b"", headers, len(content))

        def say(
            self, status: int, body: bytes, headers: dict[str, str], length: int | None = None
        ) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", fetched
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
