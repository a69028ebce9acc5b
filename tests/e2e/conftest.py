"""Servers and a browser for the whole session, a page for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from e2e.browser import FLAGS, Visit, chromium, visit
from e2e.servers import JupyterServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def servers() -> list[JupyterServer]:
    """Those that tests have asked for so far."""
    return []


def serving(
    application: str, servers: list[JupyterServer], folders: pytest.TempPathFactory
) -> Iterator[JupyterServer]:
    server = JupyterServer(application, folders.mktemp(application))
    servers.append(server)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def lab(
    servers: list[JupyterServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterServer]:
    yield from serving("lab", servers, tmp_path_factory)


@pytest.fixture(scope="session")
def notebook7(
    servers: list[JupyterServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterServer]:
    yield from serving("notebook", servers, tmp_path_factory)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visited(
    browser: Browser, servers: list[JupyterServer], request: pytest.FixtureRequest
) -> Iterator[Visit]:
    """A page with its record; after the test, nothing outside was asked and nothing went wrong.

    A test that provokes an error takes it out of `visited.problems` once it has seen it.
    """
    with visit(browser, request.node.name) as visited:
        yield visited
    # Only now: a page that sees its kernel vanish complains. Kernels hold models in memory.
    for server in servers:
        server.end_kernels()
    assert not visited.outside, "the page reached for the network"
    assert not visited.problems, "the page reported errors"


@pytest.fixture
def page(visited: Visit) -> Page:
    return visited.page
