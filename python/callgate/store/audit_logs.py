"""Signed decision logs as the store knows them: who writes each, their checkpoints, and the admin changes in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, select, update

from callgate.store.database import Domain
from callgate.store.tables import admin_audit, audit_checkpoints, audit_logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Select
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

LEASE_US: Final = 30_000_000
"""The time after its last report for which a log is its writer's."""

_HOUR_US: Final = 3_600 * 1_000_000
_DAY_US: Final = 24 * _HOUR_US
_KEPT_WHOLE_US: Final = _HOUR_US
"""The time for which every checkpoint is kept; then the last one of each hour."""

_KEPT_HOURLY_US: Final = 30 * _DAY_US
"""The time for which the last one of each hour is kept; then the last one of each day, always."""

_PAGE: Final = 1_000

_LOGS: Final = audit_logs.c
_CHECKPOINTS: Final = audit_checkpoints.c


@dataclass(frozen=True)
class AuditLog:
    """A signed log."""

    origin: str
    stream: str
    holder: str
    """The process that writes it; empty if it has stopped."""
    held_until_us: int
    admin_from: int
    """Admin changes up to this number are older than the log."""
    admin_until: int
    """Those up to this number are in it, under a checkpoint."""


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint as it was signed."""

    origin: str
    size: int
    at_us: int
    note: str


class StreamInUseError(Exception):
    """Another process writes a log of the same stream."""


class CheckpointConflictError(Exception):
    """A checkpoint contradicts one that the store has."""


class AuditLogs:
    """The signed logs."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def claim(
        self, origin: str, stream: str, holder: str, now_us: int, *, since_us: int, is_renewal: bool = False
    ) -> AuditLog:
        """Notes that this process writes a log, for a while.

        The first claim of a process takes the same log from another one at once: the file has one writer, which has
        taken the place of one that was killed. A renewal does not, so that of two copies of a log one is refused. A
        log that is new has to have the admin changes since `since_us`, or those that the one before it has not.

        Raises:
            StreamInUseError: Another process does, or writes another log of the stream.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> AuditLog:
            rows = connection.execute(select(audit_logs).where(_LOGS.stream == stream)).all()
            others = [row for row in rows if row.holder not in {"", holder} and row.held_until_us > now_us]
            if not is_renewal:
                others = [row for row in others if row.origin != origin]
            if others:
                message = f"another callgate writes the log `{others[0].origin}` of the stream `{stream}`"
                raise StreamInUseError(message)
            mine = next((row for row in rows if row.origin == origin), None)
            held_until_us = now_us + LEASE_US
            held: dict[str, Any] = {"holder": holder, "held_until_us": held_until_us}
            if mine is not None:
                connection.execute(update(audit_logs).where(_LOGS.origin == origin).values(**held))
                return AuditLog(origin, stream, holder, held_until_us, mine.admin_from, mine.admin_until)
            # What the log before it has not, this one has to have.
            begin = max((row.admin_until for row in rows), default=None)
            if begin is None:
                older = select(func.max(admin_audit.c.number)).where(admin_audit.c.at_us < since_us)
                begin = connection.execute(older).scalar() or 0
            made = AuditLog(origin, stream, holder, held_until_us, begin, begin)
            values = {"origin": origin, "stream": stream, **held, "admin_from": begin, "admin_until": begin}
            connection.execute(insert(audit_logs).values(**values))
            return made

        return self._database.write(work, Domain.IDENTITY)

    def release(self, origin: str, holder: str) -> None:
        """Notes that this process writes the log no more.

        Raises:
            StoreError: The store does not answer.
        """
        done = update(audit_logs).where(_LOGS.origin == origin, _LOGS.holder == holder).values(holder="")
        self._database.write(lambda at: at.execute(done), Domain.IDENTITY)

    def publish(self, origin: str, size: int, note: str, now_us: int, *, admin_until: int | None = None) -> None:
        """Keeps a checkpoint, and the number up to which admin changes are under it.

        Raises:
            CheckpointConflictError: The store has one that is larger, or another one of this size.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> None:
            newest = connection.execute(
                select(audit_checkpoints)
                .where(_CHECKPOINTS.origin == origin)
                .order_by(_CHECKPOINTS.size.desc())
                .limit(1)
            ).first()
            if newest is not None and newest.size > size:
                message = (
                    f"the log `{origin}` has {size} entries under its checkpoint, the store has one over {newest.size}"
                )
                raise CheckpointConflictError(message)
            if newest is None or newest.size < size:
                values = {"origin": origin, "size": size, "at_us": now_us, "note": note}
                connection.execute(insert(audit_checkpoints).values(**values))
                _thin_out(connection, origin, now_us)
            elif _text(newest.note) != _text(note):
                message = f"the log `{origin}` has another tree of {size} entries than the checkpoint of the store"
                raise CheckpointConflictError(message)
            if admin_until is not None:
                further = update(audit_logs).where(_LOGS.origin == origin, _LOGS.admin_until < admin_until)
                connection.execute(further.values(admin_until=admin_until))

        self._database.write(work, Domain.IDENTITY)

    def logs(self) -> list[AuditLog]:
        """All logs.

        Raises:
            StoreError: The store does not answer.
        """
        query = select(audit_logs).order_by(_LOGS.origin)
        return self._database.read(lambda at: [_log(row) for row in at.execute(query)])

    def checkpoints(self, origin: str) -> Iterator[StoredCheckpoint]:
        """The checkpoints of a log that are kept, the smallest first.

        Raises:
            StoreError: The store does not answer.
        """
        after = -1
        while True:
            query = (
                select(audit_checkpoints)
                .where(_CHECKPOINTS.origin == origin, _CHECKPOINTS.size > after)
                .order_by(_CHECKPOINTS.size)
                .limit(_PAGE)
            )
            page = self._page(query)
            yield from (StoredCheckpoint(row.origin, row.size, row.at_us, row.note) for row in page)
            if len(page) < _PAGE:
                return
            after = page[-1].size

    def _page(self, query: Select[Any]) -> Sequence[Any]:
        return self._database.read(lambda at: at.execute(query).all())


def _thin_out(connection: Connection, origin: str, now_us: int) -> None:
    """Removes old checkpoints but the last one of each hour, and of each day."""
    old = (
        select(_CHECKPOINTS.size, _CHECKPOINTS.at_us)
        .where(_CHECKPOINTS.origin == origin, _CHECKPOINTS.at_us < now_us - _KEPT_WHOLE_US)
        .order_by(_CHECKPOINTS.size.desc())
    )
    kept = set[tuple[str, int]]()
    surplus = []
    for row in connection.execute(old):
        is_recent = row.at_us >= now_us - _KEPT_HOURLY_US
        slot = ("hour", row.at_us // _HOUR_US) if is_recent else ("day", row.at_us // _DAY_US)
        if slot in kept:
            surplus.append(row.size)
        kept.add(slot)
    for begin in range(0, len(surplus), _PAGE):
        sizes = surplus[begin : begin + _PAGE]
        connection.execute(delete(audit_checkpoints).where(_CHECKPOINTS.origin == origin, _CHECKPOINTS.size.in_(sizes)))


def _text(note: str) -> str:
    """The signed part of a note: two keys sign one text."""
    return note.partition("\n\n")[0]


def _log(row: Any) -> AuditLog:  # noqa: ANN401  a row has its query's columns
    return AuditLog(row.origin, row.stream, row.holder, row.held_until_us, row.admin_from, row.admin_until)
