"""Dictionaries on the Hugging Face hub: references to folders, and what we fetch of them.

A reference is owner/name, owner/name/folder, or either with @revision behind it. Repositories
hold hundreds of dictionaries, so only the folder that is asked for is fetched, and of it only
the files of known formats. A folder of folders is fetched where these are one for each layer.
"""

from __future__ import annotations

import glob
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from interp_widgets.dictionaries.errors import DictionaryError

# A segment starts with a letter, digit or underscore, so that "..", "./x" and "~/x" are paths.
_SEGMENT = r"\w[\w.-]*"
_REFERENCE = re.compile(
    rf"(?P<repo>{_SEGMENT}/{_SEGMENT})(?P<folder>(?:/{_SEGMENT})*)(?:@(?P<revision>\w[\w./-]*))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Reference:
    """A folder of a hub repository; folder "" is its root, revision None its main branch."""

    repo: str
    folder: str
    revision: str | None


def parse(text: str) -> Reference | None:
    """The hub reference that a text may be; None where it can only be a local path."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    return Reference(match["repo"], match["folder"].strip("/"), match["revision"])


def download_folder(reference: Reference, formats: Iterable[Sequence[str]]) -> Path:
    """Fetches the files of known formats in a folder, and gives the folder they are in.

    Args:
        formats: for each format the patterns of its files, seen from the folder; the first is
            the file by which the format is known.

    Without a connection, what was fetched before is used.
    """
    from huggingface_hub import HfApi, snapshot_download

    repo, revision = reference.repo, reference.revision
    try:
        about = HfApi().model_info(repo, revision=revision)
        files = [sibling.rfilename for sibling in about.siblings or ()]
    # The hub's client raises errors of many unrelated classes; each ends in the same sentence.
    except Exception as error:
        try:
            # No pattern: whatever of the repository is there, since we fetched a part of it.
            cached = snapshot_download(
                repo, revision=revision, local_files_only=True, allow_patterns=[]
            )
        except Exception:
            raise _failed(repo, error) from error
        if not Path(cached, reference.folder).is_dir():
            raise _failed(repo, error) from error
        return Path(cached, reference.folder)
    names = wanted(files, reference.folder, [list(patterns) for patterns in formats])
    if not names:
        raise _nothing(reference, files)
    try:
        exact = [glob.escape(name) for name in names]
        root = snapshot_download(repo, revision=revision, allow_patterns=exact)
    except Exception as error:
        raise _failed(repo, error) from error
    return Path(root, reference.folder)


def wanted(files: Sequence[str], folder: str, formats: Sequence[Sequence[str]]) -> list[str]:
    """Which of a repository's files belong to the dictionary in a folder of it."""
    found = _of_folder(files, folder, formats)
    if found:
        return found
    parts: dict[str, list[str]] = {}
    start = f"{folder}/" if folder else ""
    for part in {name[len(start) :].split("/")[0] for name in files if name.startswith(start)}:
        inside = _of_folder(files, start + part, formats)
        if inside:
            parts[part] = inside
    # One for each layer: the names differ in one number, which counts from 0.
    stems = {re.sub(r"\d+", "*", part, count=1) for part in parts}
    numbers = sorted(int(match[0]) for part in parts if (match := re.search(r"\d+", part)))
    if len(stems) != 1 or numbers != list(range(len(parts))):
        return []
    return sorted(name for inside in parts.values() for name in inside)


def _of_folder(files: Sequence[str], folder: str, formats: Sequence[Sequence[str]]) -> list[str]:
    names: set[str] = set()
    for patterns in formats:
        paths = [posixpath.normpath(posixpath.join(folder, pattern)) for pattern in patterns]
        if _matching(files, paths[0]):
            names.update(name for path in paths for name in _matching(files, path))
    return sorted(names)


def _matching(files: Sequence[str], path: str) -> list[str]:
    """The files in a pattern's own folder: unlike fnmatch's, our * does not cross a slash."""
    folder, pattern = posixpath.split(path)
    return [
        name
        for name in files
        if posixpath.dirname(name) == folder and fnmatchcase(posixpath.basename(name), pattern)
    ]


def download_file(uri: str) -> Path:
    """Fetches one file, named as hf://owner/name/path with ?revision=... where needed."""
    from huggingface_hub import hf_hub_download

    parts = urlsplit(uri)
    name, _, path = parts.path.strip("/").partition("/")
    if parts.scheme != "hf" or not (parts.netloc and name and path):
        raise DictionaryError(f"{uri} is not of the form hf://owner/name/path.")
    revision = parse_qs(parts.query).get("revision", [None])[0]
    try:
        return Path(hf_hub_download(f"{parts.netloc}/{name}", path, revision=revision))
    except Exception as error:
        raise _failed(uri, error) from error


def _nothing(reference: Reference, files: Sequence[str]) -> DictionaryError:
    start = f"{reference.folder}/" if reference.folder else ""
    below = sorted(
        {
            n[len(start) :].split("/")[0]
            for n in files
            if n.startswith(start) and "/" in n[len(start) :]
        }
    )
    where = f"{reference.repo}/{reference.folder}".rstrip("/")
    some = f"; it has the folders {', '.join(below[:8])}" + (", ..." if len(below) > 8 else "")
    return DictionaryError(
        f"{where} on the Hugging Face hub holds no dictionary in a known format, and no folder "
        f"for each layer{some if below else ''}."
    )


def _failed(what: str, error: Exception) -> DictionaryError:
    first_line = next(iter(str(error).strip().splitlines()), "")
    reason = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
    return DictionaryError(f"{what} could not be fetched from the Hugging Face hub ({reason}).")
