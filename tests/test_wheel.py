"""The wheel as users get it: installed where there is no node, imported in a fresh interpreter."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent

VIEWS = ("graph", "training", "steering", "ablation", "features", "text")

# What `import interp_widgets` must leave alone, so that it takes a blink and not seconds.
HEAVY = {"torch", "transformers", "nnsight", "plotly", "anywidget"}

REPORT = f"""
import json, sys
import interp_widgets
print(json.dumps({{
    "file": interp_widgets.__file__,
    "version": interp_widgets.__version__,
    "heavy": sorted({HEAVY!r} & sys.modules.keys()),
}}))
"""


def run(*command: str | pathlib.Path, empty_folder: pathlib.Path) -> str:
    """Runs without anything on the PATH, node least of all, and away from the checkout."""
    finished = subprocess.run(
        command,
        env={**os.environ, "PATH": str(empty_folder)},
        cwd=empty_folder,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("nothing")


@pytest.fixture(scope="module")
def wheel(nothing: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Built with the bundles that `make` made; without isolation, which would need the network."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    run(sys.executable, "-m", "pip", "wheel", *options, ROOT, empty_folder=nothing)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def fresh_python(
    wheel: pathlib.Path, nothing: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """An environment with the wheel in it, and behind it the packages that it depends on.

    A path file lends this environment's packages, so that torch is not downloaded again. The
    checkout's own editable install is a path file too, and those do not chain.
    """
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    options = ["--no-deps", "--no-index"]
    pip = [sys.executable, "-m", "pip", "--python", python]
    run(*pip, "install", *options, wheel, empty_folder=nothing)
    site = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", empty_folder=nothing
    )
    pathlib.Path(site.strip(), "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_carries_the_built_views(wheel: pathlib.Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    bundles = [f"{view}.{kind}" for view in VIEWS for kind in ("js", "css")]
    for name in (
        *bundles,
        "graph-standalone.js",
        "features-standalone.js",
        "text-standalone.js",
    ):
        assert sizes.get(f"interp_widgets/static/{name}", 0) > 100, name
    assert "interp_widgets/py.typed" in sizes
    assert sizes["interp_widgets/features/free_text/documents.jsonl"] > 600_000
    index = "interp_widgets/labs/organism/weights/index/"
    assert sum(size for name, size in sizes.items() if name.startswith(index)) > 2_000_000
    assert not [name for name in sizes if "node_modules" in name or name.startswith("tests/")]


def test_it_installs_and_imports_without_node_and_without_torch(
    fresh_python: pathlib.Path, nothing: pathlib.Path
) -> None:
    report = json.loads(run(fresh_python, "-I", "-c", REPORT, empty_folder=nothing))
    assert pathlib.Path(report["file"]).is_relative_to(fresh_python.parent.parent)
    assert report["heavy"] == []


def test_an_installed_view_brings_the_built_module(
    fresh_python: pathlib.Path, nothing: pathlib.Path
) -> None:
    # Not the placeholder that says "not built yet".
    code = """
import pathlib, interp_widgets
from interp_widgets.views import GraphView
built = pathlib.Path(interp_widgets.__file__).parent / "static" / "graph.js"
print(str(GraphView._esm) == built.read_text("utf-8"))
"""
    assert run(fresh_python, "-I", "-c", code, empty_folder=nothing) == "True\n"


def test_every_file_names_the_same_version(wheel: pathlib.Path) -> None:
    import interp_widgets

    version = interp_widgets.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest_entry = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert wheel.name.split("-")[1] == version
    assert f"\nversion: {version}\n" in citation
    assert newest_entry is not None
    assert newest_entry.group(1) == version
