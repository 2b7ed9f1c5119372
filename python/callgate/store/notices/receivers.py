"""Receivers of notices: who is told of events, and up to which event each outbox was filled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, insert, select, update

from callgate.store import audit
from callgate.store.changes import Kind, last_numbers
from callgate.store.database import Domain
from callgate.store.errors import StateError, UnknownIdError
from callgate.store.model import Approval, from_row
from callgate.store.notices.model import NewNotice, NoticeEvent, NoticeState, ReceiverStatus
from callgate.store.tables import approvals, notice_events, notice_receivers, notices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    from sqlalchemy.engine import Connection

    from callgate.store.database import Database
    from callgate.store.model import Actor

    Choose: TypeAlias = Callable[[NoticeEvent, Approval, Mapping[str, Any], int], Sequence[NewNotice]]

_TABLE: Final = notice_receivers.c
_SECOND_US: Final = 1_000_000

SEEN_EVERY_US: Final = 60 * _SECOND_US
"""The time after which a receiver is written again as configured."""

KEPT_US: Final = 7 * 24 * 3_600 * _SECOND_US
"""The time without a replica that has it configured, after which a receiver is forgotten."""

MOST_WAITING: Final = 200_000
"""Most notices of one receiver that wait; beyond them, new ones are dropped: nobody reads so many."""

AT_ONCE: Final = 200
"""Events that one transaction reads."""


class NoticeReceivers:
    """The receivers that any replica has configured."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def register(self, digests: Mapping[str, str], now_us: int) -> None:
        """Writes that this replica has these receivers configured: from now on, events are written for them.

        `digests` are those of their addresses. A receiver that was stopped is served again at another address.

        Raises:
            StoreError: The store does not answer.
        """
        query = select(notice_receivers).where(_TABLE.name.in_(list(digests)))

        def is_due(connection: Connection) -> bool:
            known = {row.name: row for row in connection.execute(query)}
            return any(
                name not in known
                or known[name].address_digest != digest
                or abs(now_us - known[name].seen_us) >= SEEN_EVERY_US
                for name, digest in digests.items()
            )

        def work(connection: Connection) -> None:
            known = {row.name: row for row in connection.execute(query)}
            for name, digest in digests.items():
                row = known.get(name)
                if row is None:
                    # An event whose transaction has not ended yet may have this number, or a higher one.
                    begin = last_numbers(connection)[Kind.NOTICES]
                    values = {"name": name, "address_digest": digest, "read_number": begin, "seen_us": now_us}
                    connection.execute(insert(notice_receivers).values(values))
                    continue
                anew = {} if row.address_digest == digest else {"stopped_us": None, "stop_cause": None}
                values = {"seen_us": now_us, "address_digest": digest, **anew}
                connection.execute(update(notice_receivers).where(_TABLE.name == name).values(values))

        if self._database.read(is_due):
            self._database.write(work, Domain.NOTICES)

    def collect(self, name: str, choose: Choose, now_us: int) -> tuple[int, int]:
        """Puts the next events into the outbox of a receiver.

        `choose` gives the notices of an event: it takes the event, the approval as it is now, the facts, and the time.

        Returns:
            The number of events that were read, and of notices that were dropped because too many wait.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> tuple[int, int]:
            read_number = connection.execute(select(_TABLE.read_number).where(_TABLE.name == name)).scalar_one_or_none()
            if read_number is None:
                return 0, 0
            events = _next_events(connection, read_number)
            if not events:
                return 0, 0
            rows = list(_rows(connection, name, events, choose, now_us))
            room = max(MOST_WAITING - _count_waiting(connection, name), 0) if rows else 0
            if rows[:room]:
                connection.execute(insert(notices), rows[:room])
            connection.execute(
                update(notice_receivers).where(_TABLE.name == name).values(read_number=events[-1].number)
            )
            return len(events), len(rows[room:])

        if not self._database.read(lambda at: _has_events(at, name)):
            return 0, 0
        return self._database.write(work, Domain.NOTICES)

    def stop(self, name: str, cause: str, now_us: int) -> None:
        """Writes that nothing is sent to a receiver any more; its notices wait.

        Raises:
            StoreError: The store does not answer.
        """
        statement = update(notice_receivers).where(_TABLE.name == name, _TABLE.stopped_us.is_(None))
        values = {"stopped_us": now_us, "stop_cause": cause}
        self._database.write(lambda at: at.execute(statement.values(values)), Domain.NOTICES)

    def resume(self, name: str, by: Actor, now_us: int) -> None:
        """Writes that a receiver is served again; recorded in the admin audit.

        Raises:
            UnknownIdError: There is no such receiver.
            StateError: It was not stopped.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> None:
            row = connection.execute(select(notice_receivers).where(_TABLE.name == name)).one_or_none()
            if row is None:
                message = f"there is no receiver `{name}`; `callgate notices receivers` lists them"
                raise UnknownIdError(message)
            if row.stopped_us is None:
                raise StateError("receiver", name, "served", "it cannot be resumed")
            connection.execute(
                update(notice_receivers).where(_TABLE.name == name).values(stopped_us=None, stop_cause=None)
            )
            audit.record(connection, [audit.Change(by, "resume", Kind.NOTICES.value, name)], now_us)

        self._database.write(work, Domain.NOTICES)

    def is_stopped(self, name: str) -> bool:
        """True if nothing is sent to a receiver.

        Raises:
            StoreError: The store does not answer.
        """
        query = select(_TABLE.stopped_us).where(_TABLE.name == name)
        return self._database.read(lambda at: at.execute(query).scalar_one_or_none()) is not None

    def statuses(self) -> list[ReceiverStatus]:
        """The receivers in the order of their names, with the numbers of their notices.

        Raises:
            StoreError: The store does not answer.
        """
        column = notices.c
        # By name too, of which there are few: a database would count all rows otherwise.
        numbers = select(
            column.state, column.receiver, func.count().label("number"), func.min(column.made_us).label("oldest_us")
        ).where(column.state.in_([NoticeState.WAITING.value, NoticeState.DEAD.value]))

        def work(connection: Connection) -> list[ReceiverStatus]:
            counts = {
                (row.receiver, row.state): row
                for row in connection.execute(numbers.group_by(column.state, column.receiver))
            }
            found = []
            for row in connection.execute(select(notice_receivers).order_by(_TABLE.name)):
                waiting = counts.get((row.name, NoticeState.WAITING.value))
                dead = counts.get((row.name, NoticeState.DEAD.value))
                found.append(
                    ReceiverStatus(
                        row.name,
                        row.seen_us,
                        row.stopped_us,
                        row.stop_cause,
                        0 if waiting is None else int(waiting.number),
                        0 if dead is None else int(dead.number),
                        None if waiting is None else int(waiting.oldest_us),
                    )
                )
            return found

        return self._database.read(work)

    def forget(self, now_us: int) -> None:
        """Deletes receivers that no replica has configured any more, and events that all outboxes have.

        Raises:
            StoreError: The store does not answer.
        """
        gone = _TABLE.seen_us <= now_us - KEPT_US

        def has_work(connection: Connection) -> bool:
            is_there = connection.execute(select(notice_events.c.number).limit(1)).first() is not None
            return is_there or connection.execute(select(_TABLE.name).where(gone).limit(1)).first() is not None

        def work(connection: Connection) -> None:
            connection.execute(delete(notice_receivers).where(gone))
            lowest = connection.execute(select(func.min(_TABLE.read_number))).scalar_one()
            read = [] if lowest is None else [notice_events.c.number <= lowest]
            connection.execute(delete(notice_events).where(*read))

        if self._database.read(has_work):
            # Events are written with the lock of calls: one that is not committed yet must not lose its receiver.
            self._database.write(work, Domain.NOTICES, Domain.CALLS)


def _has_events(connection: Connection, name: str) -> bool:
    query = (
        select(notice_events.c.number)
        .join(notice_receivers, notice_events.c.number > _TABLE.read_number)
        .where(_TABLE.name == name)
        .limit(1)
    )
    return connection.execute(query).first() is not None


def _next_events(connection: Connection, read_number: int) -> Sequence[Any]:
    column = notice_events.c
    query = select(notice_events).where(column.number > read_number).order_by(column.number).limit(AT_ONCE)
    return connection.execute(query).all()


def _rows(
    connection: Connection, name: str, events: Sequence[Any], choose: Choose, now_us: int
) -> Sequence[dict[str, Any]]:
    """The rows of the notices that a receiver gets of some events."""
    ids = {row.approval_id for row in events}
    found = connection.execute(select(approvals).where(approvals.c.id.in_(ids)))
    known = {row.id: from_row(row) for row in found}
    rows: list[dict[str, Any]] = []
    for event in events:
        approval = known.get(event.approval_id)
        if approval is None:
            # It was deleted after its time.
            continue
        facts = json.loads(event.facts)
        rows += [
            _row(name, event, one, now_us) for one in choose(NoticeEvent(event.event), approval, facts, event.at_us)
        ]
    return rows


def _row(name: str, event: Any, one: NewNotice, now_us: int) -> dict[str, Any]:  # noqa: ANN401  columns
    return {
        "id": one.id,
        "receiver": name,
        "number": event.number,
        "approval_id": event.approval_id,
        "event": one.event.value,
        "at_us": event.at_us,
        "facts": event.facts,
        "link_until_us": one.link_until_us,
        "person_issuer": None if one.person is None else one.person.issuer,
        "person_subject": None if one.person is None else one.person.subject,
        "state": NoticeState.WAITING.value,
        "tries": 0,
        "due_us": one.due_us,
        "made_us": now_us,
    }


def _count_waiting(connection: Connection, name: str) -> int:
    waiting = (notices.c.state == NoticeState.WAITING.value, notices.c.receiver == name)
    return int(connection.execute(select(func.count()).select_from(notices).where(*waiting)).scalar_one())
