"""What holds for every test."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Iterator

import pytest

END_TO_END = pathlib.Path(__file__).parent / "e2e"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what lies in e2e/, and runs it last: a broken function says so before a browser does.

    With two workers (`make test`), the browser has one of them from the beginning, as it takes longer
    than all the rest, and one browser at a time leaves it the processor that it waits for.
    """
    for item in items:
        browser = item.path.is_relative_to(END_TO_END)
        if browser:
            item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.xdist_group("browser" if browser else item.path.name))
    first = (
        config.getoption("numprocesses", None) is not None or "PYTEST_XDIST_WORKER" in os.environ
    )
    items.sort(key=lambda item: (item.get_closest_marker("e2e") is not None) != first)


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
