"""Approvals for open streams: their last changes, read once for all, so that a hundred inboxes ask as often as one.

And those that wait, with which a stream begins: read for one stream at a time, a few at once. Ten thousand may wait,
and a hundred streams may open at the same moment, while calls wait for the same store and the same interpreter.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Final

from callgate import clock
from callgate.store.changes import Kind
from callgate.store.model import State
from callgate.store.pages import MOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.admin.news import News
    from callgate.store.model import Approval
    from callgate.store.store import Store

_UNASKED_S: Final = 10.0
"""Longest time without a look at the store."""

_KEPT: Final = 2_048
"""Changes that are kept; a stream that is farther behind reads the store itself."""

_AT_ONCE: Final = 200
"""Pending approvals that are read at once."""


class ApprovalFeed:
    """Pending approvals, and changes in the order of their numbers."""

    def __init__(self, store: Store, news: News) -> None:
        """Takes the store, and the news that it has changed."""
        self._store = store
        self._news = news
        self._lock = Lock()
        self._turn = Lock()
        self._told = -1
        self._read_at_s = 0.0
        self._kept: deque[Approval] = deque(maxlen=_KEPT)
        self._from: int | None = None
        """The number after which all changes are kept, up to the last one; None before the first read."""
        self._to = 0

    def pending(self, grant: str) -> Iterator[Approval]:
        """The pending approvals of one grant, or of all if the name is empty; oldest first.

        Raises:
            StoreError: The store does not answer.
        """
        token: str | None = None
        while True:
            now_us = clock.now_us()
            with self._turn:
                page = self._store.approvals.page(
                    now_us, state=State.PENDING, grant=grant or None, size=_AT_ONCE, token=token, oldest_first=True
                )
            yield from (one for one in page.items if one.state is State.PENDING)
            token = page.next_token
            if token is None:
                return

    def after(self, seen: int) -> list[Approval]:
        """The approvals that changed after a number, each in the state of its last change, at most a thousand.

        Raises:
            StoreError: The store does not answer.
        """
        with self._lock:
            self._read()
            if self._from is not None and seen >= self._from:
                kept = list(self._kept)
                return kept[bisect_right(kept, seen, key=lambda one: one.change) :][:MOST]
        return self._store.approvals.since(seen, clock.now_us())

    def _read(self) -> None:
        """Reads on, if there may be something new."""
        told = self._news.count(Kind.APPROVALS.value)
        # In time also without news: nobody can tell any while the store does not answer.
        if told == self._told and time.monotonic() < self._read_at_s + _UNASKED_S:
            return
        self._read_at_s = time.monotonic()
        last = self._store.last_changes()[Kind.APPROVALS]
        if self._from is None or last < self._to:
            # The first read, or an older state of the database was brought back.
            self._kept.clear()
            self._from = self._to = last
        while self._to < last:
            found = self._store.approvals.since(self._to, clock.now_us())
            if not found:
                break
            for one in found:
                if len(self._kept) == self._kept.maxlen:
                    self._from = self._kept[0].change
                self._kept.append(one)
            self._to = found[-1].change
        self._told = told
