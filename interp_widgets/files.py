"""Files and folders that are put down whole: after a crash there is the old one or the new one.

Both are written under another name, NAME.tmp-..., flushed to the disk and then renamed, which
happens at once or not at all; at last the folder is flushed, since it holds the name. An error
leaves nothing behind, a killed process at most what its NAME.tmp-... tells of. Permissions are
those of any new file: safetensors' own files can be read by their owner only.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory


def write_whole(path: str | Path, content: bytes | str | Callable[[Path], object]) -> Path:
    """Put a complete file in place of `path`, and return the path.

    Args:
        content: what it holds, text as UTF-8; or a function that writes it to the path it is given.

    Raises OSError; whatever `content` raises passes through.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} into.")
    part = path.with_name(f"{path.name}.tmp-{secrets.token_hex(4)}")
    try:
        with part.open("xb") as file:
            if not callable(content):
                file.write(content.encode() if isinstance(content, str) else content)
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if callable(content):
            content(part)
            part.chmod(mode)
        _flush(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _flush(path.parent)
    return path


def write_folder(folder: Path, fill: Callable[[Path], object]) -> None:
    """Put a complete folder in place of `folder`, making the folders above it.

    Args:
        fill: writes the files into the empty folder it is given; it may leave anything beside
            that folder, which is removed at the end.

    Raises OSError; whatever `fill` raises passes through.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{folder.name}.tmp-"
    with TemporaryDirectory(prefix=prefix, dir=folder.parent, ignore_cleanup_errors=True) as work:
        new = Path(work) / "new"
        new.mkdir()
        fill(new)
        for path in [*new.rglob("*"), new]:
            if path.is_file():
                path.chmod(new.stat().st_mode & 0o666)
            _flush(path)
        if folder.exists():
            folder.rename(Path(work) / "old")
        new.rename(folder)
    _flush(folder.parent)


def _flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # only POSIX opens folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
