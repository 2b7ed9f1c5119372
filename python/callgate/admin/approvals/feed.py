"""Approvals for open streams: their last changes, read once for all, so that a hundred inboxes ask as often as one.

And those that wait, with which a stream begins: read once for all streams that begin together, a few rows at a time.
Ten thousand may wait, and a hundred streams may open at the same moment, while calls wait for the same store and the
same interpreter.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import ref

from callgate import clock
from callgate.admin.approvals.messages import approval_message
from callgate.store.changes import Kind
from callgate.store.model import State
from callgate.store.pages import MOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate._proto.callgate.admin.v1 import approvals_pb2 as pb
    from callgate.admin.news import News
    from callgate.store.model import Approval
    from callgate.store.store import Store

_UNASKED_S: Final = 10.0
"""Longest time without a look at the store."""

_KEPT: Final = 2_048
"""Changes that are kept; a stream that is farther behind reads the store itself."""

_AT_ONCE: Final = 200
"""Pending approvals that are read at once."""

_SHARED_S: Final = 2.0
"""Age up to which what was read for one stream is the beginning of another: what changes of it meanwhile comes next."""


class Beginning:
    """The approvals that are pending, as messages, which several streams read at their own pace."""

    def __init__(self, store: Store, turn: Lock, grant: str) -> None:
        """Takes the store, the lock of its readers, and the name of a grant or an empty one.

        Raises:
            StoreError: The store does not answer.
        """
        self._store = store
        self._turn = turn
        self._grant = grant
        self._kept: dict[str | None, _Page] | None = {}
        self.began_s = time.monotonic()
        self.change = store.last_changes()[Kind.APPROVALS]
        """The number of the last change before the first read: what changes later is not in it for sure."""

    def __iter__(self) -> Iterator[pb.Approval]:
        """The messages, which the reader does not change.

        Raises:
            StoreError: The store does not answer.
        """
        token: str | None = None
        while True:
            page = self._page(token)
            yield from page.messages
            token = page.next_token
            if token is None:
                return

    def forget(self) -> None:
        """Keeps nothing more: there is a newer one, and slow streams read the rest themselves."""
        self._kept = None

    def _page(self, token: str | None) -> _Page:
        kept = self._kept
        if kept is not None and token in kept:
            return kept[token]
        with self._turn:
            kept = self._kept
            if kept is not None and token in kept:
                return kept[token]
            page = self._read(token)
            if kept is not None:
                kept[token] = page
            return page

    def _read(self, token: str | None) -> _Page:
        page = self._store.approvals.page(
            clock.now_us(),
            state=State.PENDING,
            grant=self._grant or None,
            size=_AT_ONCE,
            token=token,
            oldest_first=True,
        )
        messages = tuple(approval_message(one) for one in page.items if one.state is State.PENDING)
        return _Page(messages, page.next_token)


@dataclass(frozen=True)
class _Page:
    """Some of the approvals that are pending."""

    messages: tuple[pb.Approval, ...]
    next_token: str | None


class ApprovalFeed:
    """Changes in the order of their numbers, and the beginnings of streams."""

    def __init__(self, store: Store, news: News) -> None:
        """Takes the store, and the news that it has changed."""
        self._store = store
        self._news = news
        self._lock = Lock()
        self._turn = Lock()
        self._beginning: ref[Beginning] | None = None
        self._told = -1
        self._read_at_s = 0.0
        self._kept: deque[Approval] = deque(maxlen=_KEPT)
        self._from: int | None = None
        """The number after which all changes are kept, up to the last one; None before the first read."""
        self._to = 0

    def beginning(self, grant: str) -> Beginning:
        """The pending approvals of one grant, or of all if the name is empty; oldest first.

        Raises:
            StoreError: The store does not answer.
        """
        if grant:
            return Beginning(self._store, self._turn, grant)
        with self._turn:
            last = None if self._beginning is None else self._beginning()
            if last is not None and time.monotonic() < last.began_s + _SHARED_S:
                return last
            if last is not None:
                last.forget()
            made = Beginning(self._store, self._turn, "")
            # Only the streams that read it keep it: it may be large.
            self._beginning = ref(made)
            return made

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
