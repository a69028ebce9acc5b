"""What holds for every test."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

END_TO_END = pathlib.Path(__file__).parent / "e2e"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what lies in e2e/, and runs it last: a broken function says so before a browser does.

    With two workers (`make test`), the browser has one of them from the beginning, as it takes longer
    than all the rest.
    """
    for item in items:
        if item.path.is_relative_to(END_TO_END):
            item.add_marker(pytest.mark.e2e)
    first = "PYTEST_XDIST_WORKER" in os.environ
    items.sort(key=lambda item: (item.get_closest_marker("e2e") is not None) != first)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers take files, and all browser tests are as one file: several browsers at once would
    wait for each other. (The `loadgroup` of xdist 3.8 does nothing with pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class BrowserApart(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "browser" if "/e2e/" in file else file

    return BrowserApart(config, log)


@pytest.fixture(scope="session", autouse=True)
def _data_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """No test reads or writes the labels of whoever runs it; servers and kernels inherit that."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERP_WIDGETS_DATA", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def _no_labels_of_another_test(_data_of_its_own: pathlib.Path) -> Iterator[None]:
    """Labels outlive models and kernels, which is what they are for: but not the test."""
    yield
    shutil.rmtree(_data_of_its_own / "labels", ignore_errors=True)
