"""Dictionaries on the Hugging Face hub: references to folders, and what we fetch of them.

A reference is owner/name, owner/name/folder, or either with @revision behind it.
"""

import re
from dataclasses import dataclass
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


def download_folder(reference: Reference) -> Path:
    """Fetches the weights and settings of a folder (safetensors and yaml, nothing else)."""
    from huggingface_hub import snapshot_download

    start = f"{reference.folder}/" if reference.folder else ""
    try:
        root = snapshot_download(
            reference.repo,
            revision=reference.revision,
            allow_patterns=[f"{start}*.safetensors", f"{start}*.yaml"],
        )
    # The hub's client raises errors of many unrelated classes; each ends in the same sentence.
    except Exception as error:
        raise _failed(reference.repo, error) from error
    return Path(root, reference.folder)


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


def _failed(what: str, error: Exception) -> DictionaryError:
    first_line = next(iter(str(error).strip().splitlines()), "")
    reason = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
    return DictionaryError(f"{what} could not be fetched from the Hugging Face hub ({reason}).")
