"""Events of approvals, written in the transaction of the change: none is lost, and none is of a change that failed.

Who writes them knows no receivers but their names: the outbox of each is filled later (`outbox.py`), by a replica that
has the receiver configured. As long as no replica has any, nothing is written.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select

from callgate.store.changes import Kind, next_numbers
from callgate.store.model import State
from callgate.store.notices.model import Happening, NoticeEvent
from callgate.store.statements import Statement
from callgate.store.tables import notice_events, notice_receivers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy.engine import Connection

    from callgate.store.model import Approval

_ANY: Final = Statement(select(notice_receivers.c.name).limit(1))
_ADD: Final = Statement(insert(notice_events))

_ENDS: Final = {State.EXPIRED: NoticeEvent.EXPIRED, State.ENDED: NoticeEvent.ENDED}


def write_events(connection: Connection, happenings: Iterable[Happening], now_us: int) -> None:
    """Writes events, if any receiver is told of them.

    INVARIANT: the transaction has the lock of calls, so that events commit in the order of their numbers.
    """
    found = list(happenings)
    if not found or not _ANY.rows(connection, {}):
        return
    numbers = next_numbers(connection, Kind.NOTICES, len(found))
    rows = [
        {
            "number": number,
            "approval_id": one.approval_id,
            "event": one.event.value,
            "at_us": now_us,
            "facts": json.dumps(one.facts),
        }
        for number, one in zip(numbers, found, strict=True)
    ]
    _ADD.change(connection, rows)


def happening(event: NoticeEvent, before: State, after: Approval) -> Happening:
    """The event of a change of one approval."""
    return Happening(
        after.id,
        event,
        {
            "state": after.state.value,
            "was": before.value,
            "by": after.changed_by,
            "reason": after.cause,
            "until_us": after.until_us,
            "open_rule": after.open_rule,
        },
    )


def endings(state: State, ended: Iterable[Any], by: str, cause: str) -> Iterator[Happening]:
    """The events of approvals that end at once; `ended` has their rows from before.

    The end of a denial is none: nobody waits for it.
    """
    event = _ENDS[state]
    for row in ended:
        if event is NoticeEvent.EXPIRED and row.state == State.DENIED.value:
            continue
        facts = {"state": state.value, "was": row.state, "by": by, "reason": cause, "until_us": row.until_us}
        yield Happening(row.id, event, {**facts, "open_rule": None})
