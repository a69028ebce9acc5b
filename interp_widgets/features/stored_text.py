"""The text of an index on disk: its tokens, what each adds to the text, and where windows begin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .arrays import Arrays
from .errors import FeatureError

#: The text of so many tokens is held in memory: bytes are cut faster than mapped arrays.
_HELD = 1 << 22


class StoredText:
    """Tokens in windows; arrays: of the file of tokens (merging.py)."""

    def __init__(self, arrays: Arrays) -> None:
        self._tokens = arrays
        text = arrays["text"]
        self._text = text.tobytes() if self.n_positions < _HELD else text

    @property
    def n_positions(self) -> int:
        """Tokens stored, special ones inside texts included."""
        return len(self._tokens["ids"])

    @property
    def n_windows(self) -> int:
        """Pieces of text that the model read one by one."""
        return len(self._tokens["document"])

    @property
    def ids(self) -> NDArray[np.uint32]:
        """Token ids, [n_positions]."""
        return self._tokens["ids"]

    @property
    def window_ptr(self) -> NDArray[np.int64]:
        """Where windows begin, [n_windows + 1]."""
        return self._tokens["window_ptr"]

    @property
    def text_ptr(self) -> NDArray[np.int64]:
        """Where the text of each token begins in `text_bytes`, [n_positions + 1]."""
        return self._tokens["text_ptr"]

    @property
    def text_bytes(self) -> NDArray[np.uint8]:
        """The text, in UTF-8."""
        return self._tokens["text"]

    def tokens(self, start: int, stop: int) -> list[str]:
        """What each token from start to stop adds to the text; of places that there are."""
        ends = self._tokens["text_ptr"][start : stop + 1].tolist()
        return [bytes(self._text[a:b]).decode("utf-8", "replace") for a, b in pairwise(ends)]

    def text(self, start: int, stop: int) -> str:
        """The text of the tokens from start to stop."""
        return "".join(self.tokens(start, stop))

    def window(self, number: int) -> tuple[int, int]:
        """Where a window begins and ends. Raises FeatureError for one that there is not."""
        if not 0 <= number < self.n_windows:
            raise FeatureError(f"There is no window {number}: the index has {self.n_windows:,}.")
        start, end = self.window_ptr[number : number + 2].tolist()
        return start, end

    def window_of(self, position: int) -> tuple[int, int]:
        """Where the window of a token begins and ends. Raises FeatureError for no token."""
        self.check_position(position)
        return self.window(self._window(position))

    def check_position(self, position: int) -> None:
        """Raises FeatureError for a token that there is not."""
        if not 0 <= position < self.n_positions:
            raise FeatureError(
                f"There is no token {position}: the index has {self.n_positions:,} tokens."
            )

    def _window(self, position: int) -> int:
        return int(np.searchsorted(self.window_ptr, position, side="right")) - 1
