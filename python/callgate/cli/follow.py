"""Pending approvals and their changes, as they come."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.errors import CallgateError
from callgate.store.changes import Kind
from callgate.store.model import State
from callgate.store.pages import MOST, all_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from callgate.store.model import Approval
    from callgate.store.store import Store

_WAIT_S: Final = 1.0
"""Longest wait for a change, after which the store is asked again, so that one that is gone is noticed."""
_PATIENCE_S: Final = 2.0


@dataclass(frozen=True)
class Changed:
    """Approvals in their new states; at first all pending ones."""

    approvals: tuple[Approval, ...]


@dataclass(frozen=True)
class Fault:
    """The reason for which changes cannot be seen; empty once they can again."""

    reason: str


class Follower(threading.Thread):
    """A thread that tells what changes. A store that does not answer is asked again."""

    def __init__(self, store: Store, tell: Callable[[Changed | Fault], None], now_us: Callable[[], int]) -> None:
        """Takes the store, and the function that is told on this thread."""
        super().__init__(name="callgate-inbox", daemon=True)
        self._store = store
        self._tell = tell
        self._now_us = now_us
        self._watcher = store.watcher()
        self._stopped = threading.Event()
        self._seen: int | None = None

    def run(self) -> None:
        """Follows until `stop`."""
        fault = ""
        while not self._stopped.is_set():
            try:
                for changed in self._changes():
                    self._tell(changed)
                reason = ""
            except Exception as error:  # noqa: BLE001  the inbox must say that it is not up to date, whatever the fault
                reason = str(error) if isinstance(error, CallgateError) else f"{type(error).__name__}: {error}"
                self._stopped.wait(_WAIT_S)
            if reason != fault:
                fault = reason
                self._tell(Fault(reason))

    def stop(self) -> None:
        """Ends the thread, unless its database does not answer: then it ends with the program."""
        self._stopped.set()
        closing = threading.Thread(target=self._watcher.close, name="callgate-inbox-end", daemon=True)
        closing.start()
        closing.join(_PATIENCE_S)
        self.join(_PATIENCE_S)

    def _changes(self) -> Iterator[Changed]:
        if self._seen is None:
            # The number before the rows: a change in between is told twice, and never lost.
            seen = self._store.last_changes()[Kind.APPROVALS]
            yield Changed(tuple(self._pending()))
            self._seen = seen
        last = self._watcher.wait({Kind.APPROVALS: self._seen}, _WAIT_S)[Kind.APPROVALS]
        while self._seen < last:
            changed = self._store.approvals.since(self._seen, self._now_us())
            if not changed:
                # The last one of these numbers was deleted.
                self._seen = last
                return
            yield Changed(tuple(changed))
            self._seen = changed[-1].change

    def _pending(self) -> Iterator[Approval]:
        store, now_us = self._store.approvals, self._now_us()
        items = all_items(lambda token: store.page(now_us, state=State.PENDING, size=MOST, token=token))
        return (one for one in items if one.state is State.PENDING)
