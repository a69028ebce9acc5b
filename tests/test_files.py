"""What is put down whole: the old or the new, whatever happens in between."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from interp_widgets.files import write_folder, write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="file modes and SIGKILL are POSIX's")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fail(path: Path) -> None:
    (path / "half" if path.is_dir() else path).write_text("half")
    raise ValueError("the disk is full")


def test_bytes_text_and_what_a_function_writes_replace_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "día\n")
    assert path.read_bytes() == "día\n".encode()
    write_whole(path, b"\0\1")
    assert path.read_bytes() == b"\0\1"
    write_whole(path, partial(save_file, {"x": torch.arange(3)}))
    assert load_file(path)["x"].tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*/nowhere to write page\.html into"):
        write_whole(tmp_path / "nowhere" / "page.html", "")


def test_an_error_leaves_the_file_that_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ValueError, match="full"):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_another_and_an_error_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    write_folder(folder, lambda new: (new / "a").write_text("old"))
    with pytest.raises(ValueError, match="full"):
        write_folder(folder, fail)
    assert [path.read_text() for path in folder.iterdir()] == ["old"]

    def two(new: Path) -> None:
        (new / "deep").mkdir()
        (new / "deep" / "b").write_text("new")
        (new.parent / "beside").write_text("left")

    write_folder(folder, two)
    assert [path.relative_to(folder) for path in folder.rglob("*")] == [
        Path("deep"),
        Path("deep/b"),
    ]
    assert list(folder.parent.iterdir()) == [folder]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o007, 0o077])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / "plain").touch()
        (tmp_path / "plain folder").mkdir()
        save = partial(save_file, {"x": torch.zeros(1)})
        write_whole(tmp_path / "file", save)
        write_folder(tmp_path / "folder", lambda new: save(new / "file"))
    finally:
        os.umask(before)
    plain = mode(tmp_path / "plain")
    assert plain == 0o666 & ~umask
    assert mode(tmp_path / "file") == mode(tmp_path / "folder" / "file") == plain
    assert mode(tmp_path / "folder") == mode(tmp_path / "plain folder")


HANGS = """
import sys, time
from pathlib import Path
from interp_widgets.files import write_folder, write_whole
def half(path):
    (path / "a" if path.is_dir() else path).write_text("half")
    print("half", flush=True)
    time.sleep(600)
{"file": write_whole, "folder": write_folder}[sys.argv[1]](Path(sys.argv[2]), half)
"""


@posix
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_process_killed_half_way_leaves_the_old_one(tmp_path: Path, what: str) -> None:
    path = tmp_path / what
    old = path
    if what == "folder":
        path.mkdir()
        old = path / "a"
    old.write_text("old")
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS, what, str(path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert old.read_text() == "old"
    others = [other.name for other in tmp_path.iterdir() if other != path]
    assert len(others) == 1
    assert others[0].startswith(f"{what}.tmp-")
