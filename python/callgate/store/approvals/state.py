"""Changes of the state of approvals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, text, update

from callgate.errors import StoreError
from callgate.store import audit
from callgate.store.changes import Kind, change_rows, next_numbers
from callgate.store.errors import StateError
from callgate.store.model import Actor, Approval, State, from_row
from callgate.store.notices.events import endings, happening, write_events
from callgate.store.notices.model import NoticeEvent
from callgate.store.tables import approvals
from callgate.store.tables.approvals import LIVE
from callgate.store.unknown import unknown_id

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection

_TABLE: Final = approvals.c
_AT_ONCE: Final = 100
"""Rows that one transaction changes: calls wait for it."""

_CLOCKS_DIFFER_US: Final = 24 * 3_600 * 1_000_000
"""The clocks of replicas differ by less. Those that were consumed longer ago need no look: they are a long history."""


def locked(connection: Connection, approval_id: str) -> Any:  # noqa: ANN401  a row has its query's columns
    """The row of an approval, locked until the end of the transaction.

    Raises:
        UnknownIdError: There is none.
    """
    row = connection.execute(select(approvals).where(_TABLE.id == approval_id).with_for_update()).one_or_none()
    if row is None:
        raise unknown_id(connection, "approval", approval_id)
    return row


def set_state(
    connection: Connection,
    approval: Approval,
    state: State,
    by: Actor,
    cause: str,
    now_us: int,
    *,
    event: NoticeEvent | None = None,
    **more: Any,  # noqa: ANN401  columns
) -> Approval:
    """Writes the next state of an approval that was read in this transaction, and the event that receivers hear of."""
    [number] = next_numbers(connection, Kind.APPROVALS)
    changed = connection.execute(
        update(approvals)
        .where(_TABLE.id == approval.id, _TABLE.change == approval.change)
        .values(
            state=state.value,
            changed_us=now_us,
            changed_by=by.name,
            changed_from=by.source,
            cause=cause,
            change=number,
            **more,
        )
        .returning(*_TABLE)
    ).one_or_none()
    if changed is None:
        message = f"the approval `{approval.id}` changed meanwhile; nothing was written"
        raise StoreError(message)
    after = from_row(changed)
    if event is not None:
        write_events(connection, [happening(event, approval.state, after)], now_us)
    return after


def restore(connection: Connection, approval_id: str, use_id: str, by: Actor, now_us: int) -> Approval:
    """Gives back a use: consumed becomes approved again, if its time is not over.

    Only the use that consumed it gives it back, and only once: otherwise a late or repeated message would give back
    what another call has used since.

    Raises:
        UnknownIdError: There is no such approval.
        StateError: It is not consumed by this use.
    """
    approval = from_row(locked(connection, approval_id))
    if approval.state is not State.CONSUMED or approval.use_id != use_id:
        state = "used by another call" if approval.state is State.CONSUMED else approval.state.value
        raise StateError("approval", approval_id, state, "it cannot be restored")
    if approval.until_us <= now_us:
        return set_state(connection, approval, State.CONSUMED, by, "rolled back, not restored", now_us)
    return set_state(connection, approval, State.APPROVED, by, "rolled back", now_us, use_id=None)


def withdraw(connection: Connection, approval_id: str, by: Actor, cause: str, now_us: int) -> Approval:
    """Ends one that is pending, approved or denied; recorded in the admin audit.

    Raises:
        UnknownIdError: There is no such approval.
        StateError: It is in another state.
    """
    row = locked(connection, approval_id)
    approval = from_row(row, now_us)
    if approval.state not in {State.PENDING, State.APPROVED, State.DENIED}:
        raise StateError("approval", approval_id, approval.state.value, "it cannot be withdrawn")
    ended = set_state(connection, from_row(row), State.ENDED, by, cause, now_us, event=NoticeEvent.ENDED)
    record(connection, by, "withdraw", approval, ended, cause, now_us)
    return ended


def record(
    connection: Connection, by: Actor, action: str, before: Approval, after: Approval, reason: str, now_us: int
) -> None:
    """Writes a person's act on an approval to the admin audit."""
    digests = audit.digest(before), audit.digest(after)
    audit.record(connection, [audit.Change(by, action, Kind.APPROVALS.value, after.id, reason, *digests)], now_us)


def expire(connection: Connection, now_us: int) -> int:
    """Writes that the time of some is over, the oldest first."""
    due = (text(LIVE), _TABLE.until_us <= now_us)
    return _change_many(connection, due, State.EXPIRED, Actor("callgate", ""), "its time is over", now_us)


def end_where(
    connection: Connection, where: tuple[ColumnElement[bool], ...], by: Actor, cause: str, now_us: int
) -> int:
    """Ends some of the pending, approved or denied approvals."""
    return _change_many(connection, (text(LIVE), *where), State.ENDED, by, cause, now_us)


def end_for_good(
    connection: Connection, where: tuple[ColumnElement[bool], ...], by: Actor, cause: str, now_us: int
) -> tuple[int, int]:
    """Ends some, and forbids that consumed ones are restored, also by a replica whose clock is behind.

    Both in one transaction: no use comes between them.

    Returns:
        The number of those that ended, and of those that cannot be restored any more.
    """
    restorable = (_TABLE.state == State.CONSUMED.value, _TABLE.until_us > now_us - _CLOCKS_DIFFER_US, *where)
    ids = list(connection.scalars(select(_TABLE.id).where(*restorable).limit(_AT_ONCE)))
    if ids:
        connection.execute(update(approvals).where(_TABLE.id.in_(ids)).values(until_us=0))
    return end_where(connection, where, by, cause, now_us), len(ids)


def _change_many(
    connection: Connection,
    where: tuple[Any, ...],
    state: State,
    by: Actor,
    cause: str,
    now_us: int,
) -> int:
    """Changes the state of up to a hundred rows, and returns their number."""
    query = select(_TABLE.id, _TABLE.state, _TABLE.until_us).where(*where).order_by(_TABLE.until_us).limit(_AT_ONCE)
    rows = connection.execute(query).all()
    ids = [row.id for row in rows]
    write_events(connection, endings(state, rows, by.name, cause), now_us)
    return change_rows(connection, approvals, Kind.APPROVALS, ids, by, cause, now_us, state=state.value)
