"""Freezes in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, or_, select, text, update

from callgate.store import audit
from callgate.store.changes import Kind, next_numbers
from callgate.store.errors import StateError, UnknownIdError
from callgate.store.model import Actor
from callgate.store.pages import Page, read_page
from callgate.store.tables import freezes
from callgate.store.tables.freezes import STANDING
from callgate.store.targets import Scope, Target

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

__all__ = ["Freeze", "Freezes", "Scope", "Target"]

_TABLE: Final = freezes.c


@dataclass(frozen=True)
class Freeze:
    """A freeze as it is stored."""

    id: str
    target: Target
    reason: str
    made_us: int
    made_by: Actor
    until_us: int | None
    ended_us: int | None
    ended_by: Actor | None
    ended_why: str | None
    change: int

    def is_in_force(self, now_us: int) -> bool:
        """True if it stops calls at this time."""
        return self.ended_us is None and (self.until_us is None or self.until_us > now_us)


class Freezes:
    """Freezes."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def freeze(
        self, freeze_id: str, target: Target, reason: str, by: Actor, now_us: int, *, until_us: int | None = None
    ) -> Freeze:
        """Stops calls until a time, or until `thaw`; recorded in the admin audit.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> Freeze:
            [number] = next_numbers(connection, Kind.FREEZES)
            row = connection.execute(
                insert(freezes)
                .values(
                    id=freeze_id,
                    scope=target.scope.value,
                    server=target.server,
                    grant_id=target.grant,
                    tool=target.tool,
                    reason=reason,
                    made_us=now_us,
                    made_by=by.name,
                    made_from=by.source,
                    until_us=until_us,
                    change=number,
                )
                .returning(*_TABLE)
            ).one()
            made = _freeze(row)
            _record(connection, "freeze", made, by, reason, now_us)
            return made

        return self._database.write(work)

    def thaw(self, freeze_id: str, by: Actor, why: str, now_us: int) -> Freeze:
        """Ends a freeze; recorded in the admin audit.

        Raises:
            UnknownIdError: There is none.
            StateError: It is over.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> Freeze:
            row = connection.execute(select(freezes).where(_TABLE.id == freeze_id)).one_or_none()
            if row is None:
                message = f"there is no freeze `{freeze_id}`"
                raise UnknownIdError(message)
            before = _freeze(row)
            if not before.is_in_force(now_us):
                raise StateError("freeze", freeze_id, "over", "it cannot be ended")
            [number] = next_numbers(connection, Kind.FREEZES)
            ended = {"ended_us": now_us, "ended_by": by.name, "ended_from": by.source, "ended_why": why}
            changed = update(freezes).where(_TABLE.id == freeze_id).values(**ended, change=number)
            thawed = _freeze(connection.execute(changed.returning(*_TABLE)).one())
            _record(connection, "thaw", thawed, by, why, now_us, before)
            return thawed

        return self._database.write(work)

    def in_force(self, now_us: int) -> list[Freeze]:
        """All freezes that stop calls at this time, oldest first."""
        until = or_(_TABLE.until_us.is_(None), _TABLE.until_us > now_us)
        # Sorted here: SQLite would go through all freezes ever made, because an index has them in this order.
        query = select(freezes).where(text(STANDING), until)
        found = self._database.read(lambda at: [_freeze(row) for row in at.execute(query)])
        return sorted(found, key=lambda one: (one.made_us, one.id))

    def page(self, *, size: int = 100, token: str | None = None) -> Page[Freeze]:
        """All freezes, newest first.

        Raises:
            PageTokenError: The token is of no page.
            StoreError: The store does not answer.
        """
        key = (_TABLE.made_us, _TABLE.id)
        return self._database.read(lambda at: read_page(at, select(freezes), key, _freeze, size=size, token=token))


def _record(
    connection: Connection,
    action: str,
    freeze: Freeze,
    by: Actor,
    reason: str,
    now_us: int,
    before: Freeze | None = None,
) -> None:
    digest_before = None if before is None else audit.digest(before)
    change = audit.Change(by, action, Kind.FREEZES.value, freeze.id, reason, digest_before, audit.digest(freeze))
    audit.record(connection, [change], now_us)


def _freeze(row: Any) -> Freeze:  # noqa: ANN401  a row has its query's columns
    return Freeze(
        id=row.id,
        target=Target(server=row.server, grant=row.grant_id, tool=row.tool),
        reason=row.reason,
        made_us=row.made_us,
        made_by=Actor(row.made_by, row.made_from),
        until_us=row.until_us,
        ended_us=row.ended_us,
        ended_by=None if row.ended_by is None else Actor(row.ended_by, row.ended_from),
        ended_why=row.ended_why,
        change=row.change,
    )
