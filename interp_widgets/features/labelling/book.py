"""A user's labels for the features of one dictionary, over those that came with it.

They lie in one small file in the user's data folder, `labels/<name>-<8 of the fingerprint>.json`,
in the layout of `dictionaries/labels.py`. At every change the file is read again, the change is put
into what it says now, and it is written whole, all under a lock: kernels that label different
features lose nothing, and of two labels for one feature the later one stays. A file that cannot be
read is never written over: the first change moves it aside and says where it lies.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ...dictionaries import labels as files
from ...dictionaries.errors import DictionaryError
from ...dictionaries.labels import Label, Labels, checked, one_line
from ..errors import FeatureError
from . import book_file as file
from .book_file import Key, Own, State, path_of

_MOST_STEPS = 200


@dataclass(frozen=True)
class _Step:
    """One change, to be undone: the states before and after it."""

    before: dict[Key, State]
    after: dict[Key, State]


class LabelBook:
    """The labels of one dictionary: the user's, and where there is none, the shipped one.

    Args:
        scan: the dictionary's name.
        shipped: the labels that came with it.
        path: the user's file; None: in the data folder (`INTERP_WIDGETS_DATA` moves it).
        fingerprint: tells dictionaries of one name apart.
        sizes: how many features each layer has; None: not known, and not looked at.

    problem: a sentence while something is wrong with the user's file, else "". Threads may share a
    book, and processes its file; what another process labelled is seen at the next change, by
    `items`, or by `refresh`.
    """

    def __init__(
        self,
        scan: str,
        shipped: Labels | None = None,
        path: Path | str | None = None,
        *,
        fingerprint: str = "",
        sizes: Mapping[int, int] | None = None,
    ) -> None:
        self.scan = scan
        self._sizes = sizes
        self.path = path_of(scan, fingerprint) if path is None else Path(path).expanduser()
        self.problem = ""
        self._shipped = {
            key: label if label.kind else replace(label, kind="shipped")
            for key, label in (shipped or {}).items()
        }
        self._own = Own()
        self._shown: tuple[Own, dict[Key, Label]] | None = None
        self._seen: tuple[int, ...] | None = None
        self._steps: list[_Step] = []
        self._listeners: list[Callable[[frozenset[Key]], object]] = []
        self._guard = threading.RLock()
        self.refresh()

    def __len__(self) -> int:
        return len(self.shown())

    def __repr__(self) -> str:
        own = len(self._own.labels)
        return f"LabelBook({self.scan!r}: {len(self)} labels, {own} of them yours)"

    def get(self, layer: int, feature: int) -> Label | None:
        """The label of a feature, if it has one."""
        key, own = (int(layer), int(feature)), self._own
        found = own.labels.get(key)
        if found is None and key not in own.hidden:
            found = self._shipped.get(key)
        return found

    def items(self) -> Iterator[tuple[Key, Label]]:
        """((layer, feature), label) of all features that have one, in their order."""
        self.refresh()
        return iter(sorted(self.shown().items(), key=lambda item: item[0]))

    def shown(self) -> dict[Key, Label]:
        """All labels by (layer, feature), as of the last look at the file; not to be changed.

        The same object until a label changes.
        """
        own, kept = self._own, self._shown
        if kept is None or kept[0] is not own:
            shipped = {k: v for k, v in self._shipped.items() if k not in own.hidden}
            kept = self._shown = own, shipped | own.labels
        return kept[1]

    def put(self, layer: int, feature: int, label: Label | str) -> Label:
        """Give a feature a label; returns it as it is kept.

        A text alone is a label by hand. A label without a date gets today's.

        Raises FeatureError for a text that is no label (one line, 1 to 200 characters), for a
        feature that there is not, and where the file cannot be written.
        """
        if self._sizes is not None and not 0 <= feature < self._sizes.get(layer, 0):
            size = self._sizes.get(layer)
            has = "no features" if size is None else f"{size:,} features, counted from 0"
            raise FeatureError(f"L{layer}/{feature}: layer {layer} of {self.scan} has {has}.")
        kept = _dated(Label(label, kind="by hand") if isinstance(label, str) else label)
        with self._telling():
            self._change({(int(layer), int(feature)): (kept, False)})
        return kept

    def remove(self, layer: int, feature: int) -> Label | None:
        """Take away the label of a feature; returns the one that is shown now.

        Under a user's label the shipped one comes to light again; a shipped one is hidden.

        Raises FeatureError for a feature without a label, and where the file cannot be written.
        """
        key = (int(layer), int(feature))
        with self._telling():
            self._look()
            if self.get(*key) is None:
                raise FeatureError(f"L{key[0]}/{key[1]} has no label to take away.")
            self._change({key: (None, key not in self._own.labels)})
            return self.get(*key)

    def keep_score(self, layer: int, feature: int, label: Label) -> bool:
        """Keep how well a label of the user's holds; False where the feature is called otherwise
        by now, or has its label from elsewhere. No step to undo.

        Raises FeatureError where the file cannot be written.
        """
        key = (int(layer), int(feature))
        with self._telling():
            self._look()
            own = self._own.labels.get(key)
            if self.problem or own is None or own.untested != label.untested:
                return False
            try:
                self._change({key: (label, False)}, expected={key: (own, False)})
            except _Elsewhere:
                return False
        return True

    def undo(self) -> frozenset[Key]:
        """Take back the last change made through this book; returns the features it was about,
        none if there is nothing to take back.

        Raises FeatureError where another kernel has changed one of them since (the change is then
        no longer offered), and where the file cannot be written.
        """
        with self._telling():
            if not self._steps:
                return frozenset()
            step = self._steps[-1]
            try:
                self._change(step.before, expected=step.after)
            except _Elsewhere as error:
                self._steps.pop()
                raise FeatureError(str(error)) from None
            self._steps.pop()
        return frozenset(step.before)

    @property
    def can_undo(self) -> bool:
        return bool(self._steps)

    def merge(
        self, labels: Labels | Path | str, *, over: bool = False, source: str = ""
    ) -> frozenset[Key]:
        """Take in labels of others; returns the features that got one.

        Args:
            labels: by (layer, feature), or a `labels.json`, or a folder that holds one.
            over: also where the user has given a label. Without it those stay.
            source: of labels that do not say theirs; "": the file's name.

        Raises FeatureError where the file is none, or a label has no text.
        """
        if isinstance(labels, Path | str):
            path = Path(labels).expanduser()
            path = path / files.FILE if path.is_dir() else path
            try:
                found: Labels = files.read_file(path)
            except DictionaryError as error:
                raise FeatureError(str(error)) from error
            source = source or path.name
        else:
            found = labels
        taken = {
            (int(layer), int(feature)): (_dated(_imported(label, source)), False)
            for (layer, feature), label in found.items()
        }
        with self._telling():
            self._look()
            if not over:
                taken = {k: v for k, v in taken.items() if k not in self._own.labels}
            if taken:
                self._change(taken)
        return frozenset(taken)

    def export(self, path: Path | str) -> Path:
        """Write all labels, the user's and shipped ones, as a `labels.json`.

        Args:
            path: a file, or a folder that gets a `labels.json`.
        """
        path = Path(path).expanduser()
        path = path / files.FILE if path.is_dir() else path
        try:
            return files.write_file(self.shown(), path, "")
        except OSError as error:
            raise FeatureError(f"The labels cannot be written to {path} ({error}).") from error

    def refresh(self) -> bool:
        """Look at the file again; True where another program has changed it."""
        with self._telling():
            return self._look()

    def on_change(self, listener: Callable[[frozenset[Key]], object]) -> Callable[[], None]:
        """Call `listener` with the features whose label has changed, after every change, from the
        thread that made or noticed it. Returns a function that ends this."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def _look(self) -> bool:
        mark = file.mark(self.path)
        if mark == self._seen:
            return False
        self._seen = mark
        try:
            self._own, self.problem = file.read(self.path), ""
        except DictionaryError as error:
            self.problem = f"{str(error).rstrip('.')}: labels that stand only there are not shown."
            if file.is_damaged(error):
                self.problem += (
                    " The file stays as it is; the next label you give moves it aside and begins "
                    "a new one."
                )
        return True

    def _change(
        self,
        states: Mapping[Key, State],
        expected: Mapping[Key, State] | None = None,
    ) -> None:
        """Put states of features into the file, and keep how to undo it unless it is an undoing."""
        with file.locked(self.path):
            now = self._now()
            for key, state in (expected or {}).items():
                if not file.same(now.of(key), state):
                    self._own, self._seen = now, file.mark(self.path)
                    raise _Elsewhere(
                        f"The label of L{key[0]}/{key[1]} has been changed elsewhere since: it "
                        "stays."
                    )
            new = now.with_states(states)
            file.write(self.path, new, self.scan)
            self._own, self._seen = new, file.mark(self.path)
        if expected is None:
            undone = {key: now.of(key) for key in states}
            self._steps = [*self._steps, _Step(undone, dict(states))][-_MOST_STEPS:]

    def _now(self) -> Own:
        """What the file says, which nobody else writes now."""
        if not self.problem and file.mark(self.path) == self._seen:
            return self._own
        try:
            found = file.read(self.path)
            self.problem = ""
        except DictionaryError as error:
            if not file.is_damaged(error):
                raise FeatureError(f"Nothing was labelled: {error}") from error
            aside = file.move_aside(self.path)
            self.problem = (
                f"A file of labels could not be read; it lies in {aside} as it was, and new labels "
                f"go to {self.path}."
            )
            found = self._own
        return found

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Holds the book, and tells listeners what changed when it is free again: they may ask it,
        from any thread."""
        try:
            with self._guard:
                before = self._own
                yield
        finally:
            changed = frozenset() if self._own is before else before.differs(self._own)
            for listener in list(self._listeners) if changed else ():
                listener(changed)


class _Elsewhere(FeatureError):
    """Somebody else has changed what was to be undone."""


def _imported(label: Label, source: str) -> Label:
    kind: files.Kind = "proposed" if label.kind == "proposed" else "imported"
    text = one_line(label.text) if isinstance(label.text, str) else label.text
    return replace(label, text=text, source=label.source or source, kind=kind)


def _dated(label: Label) -> Label:
    try:
        text = checked(label.text)
    except DictionaryError as error:
        raise FeatureError(str(error)) from None
    return replace(
        label,
        text=text,
        kind=label.kind or "by hand",
        date=label.date or datetime.date.today().isoformat(),
    )
