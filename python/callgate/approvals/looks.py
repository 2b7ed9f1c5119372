"""Looks of enforcement points at approvals: their state now, or once it changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from callgate import clock
from callgate._callgate import Approval
from callgate.store.changes import Kind
from callgate.store.model import State
from callgate.store.pages import MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from callgate._callgate import ApprovalQueue
    from callgate.store.approvals.viewed import Viewed
    from callgate.store.store import Store

_PAUSE_S: Final = 0.1
"""Shortest time between two questions about changes."""

_LASTING: Final = frozenset({State.PENDING, State.APPROVED, State.DENIED})


class Looks:
    """Answers the looks of one queue."""

    def __init__(self, queue: ApprovalQueue, now_us: Callable[[], int] = clock.now_us) -> None:
        """Takes the queue, and the time in Unix microseconds."""
        self._queue = queue
        self._now_us = now_us
        self._seen: int | None = None
        self._next_s = 0.0

    def answer(self, store: Store, looks: Sequence[tuple[int, str]]) -> None:
        """Tells the states of approvals. A look at a state that is known goes on waiting.

        Raises:
            StoreError: The store does not answer.
        """
        viewed = store.approvals.view([approval_id for _, approval_id in looks], self._now_us())
        for number, approval_id in looks:
            found = viewed.get(approval_id)
            self._queue.show(number, None if found is None else _approval(found))

    def notice_changes(self, store: Store) -> None:
        """Repeats the looks that wait for a change, at approvals that any replica has changed.

        It asks the store only while a look waits, and only ten times a second.

        Raises:
            StoreError: The store does not answer.
        """
        if not self._queue.has_watchers:
            self._seen = None
            return
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + _PAUSE_S
        last = store.last_changes()[Kind.APPROVALS]
        if self._seen is None or last < self._seen:
            # Nobody looked for changes since these looks began, or the store is another one.
            self._queue.repeat_looks()
        elif last > self._seen:
            changed = store.approvals.since(self._seen, self._now_us())
            self._queue.repeat_looks([one.id for one in changed] if len(changed) < MOST else None)
        self._seen = last


def _approval(viewed: Viewed) -> Approval:
    stored = viewed.approval
    rule, approvers = "", list[str]()
    if stored.state is State.PENDING:
        need = next((need for need in stored.needs if need.rule == stored.open_rule), stored.needs[0])
        rule, approvers = need.rule, list(need.approvers)
    return Approval(
        id=stored.id,
        state=stored.state.value,
        rule=rule,
        approvers=approvers,
        reason=stored.cause if stored.state is State.DENIED else "",
        until_us=stored.until_us if stored.state in _LASTING else 0,
        permit=viewed.permit_id,
    )
