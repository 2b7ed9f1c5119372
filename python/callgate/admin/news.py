"""News of the store for open streams: each waits until a kind of rows has changed."""

from __future__ import annotations

from collections import Counter
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class News:
    """Counts the changes of each kind. The watcher of the store reports them, once for all streams."""

    def __init__(self) -> None:
        """Begins without news."""
        self._counts: Counter[str] = Counter()
        self._changed = Condition()

    def tell(self, kinds: Iterable[str]) -> None:
        """Wakes those who wait for one of these kinds, the words of `store.changes.Kind`."""
        with self._changed:
            self._counts.update(kinds)
            self._changed.notify_all()

    def count(self, kind: str) -> int:
        """The number of times that this kind has changed."""
        with self._changed:
            return self._counts[kind]

    def wait(self, kind: str, seen: int, timeout_s: float) -> int:
        """The number of times that this kind has changed, once it is not `seen`, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._counts[kind] != seen, timeout_s)
            return self._counts[kind]
