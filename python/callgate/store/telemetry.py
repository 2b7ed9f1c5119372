"""Records that are sent to a collector: each by one replica."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, insert, select, update

from callgate.store.audit import recorded
from callgate.store.database import Domain
from callgate.store.tables import admin_audit, telemetry_cursors

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from callgate.store.audit import Recorded
    from callgate.store.database import Database

_AUDIT: Final = "admin_audit"
_AT_ONCE: Final = 500
_TABLE: Final = telemetry_cursors.c


class TelemetryCursors:
    """The records that some replica has taken."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def take_changes(self) -> list[Recorded]:
        """The next records of the admin audit, which no other replica gets; the first call takes none from before it.

        Raises:
            StoreError: The store does not answer.
        """
        place = select(_TABLE.number).where(_TABLE.name == _AUDIT)

        def has_more(connection: Connection) -> bool:
            number = connection.execute(place).scalar_one_or_none()
            if number is None:
                return True
            more = select(admin_audit.c.number).where(admin_audit.c.number > number).limit(1)
            return connection.execute(more).first() is not None

        def work(connection: Connection) -> list[Recorded]:
            number = connection.execute(place).scalar_one_or_none()
            if number is None:
                last = connection.execute(select(func.max(admin_audit.c.number))).scalar_one() or 0
                connection.execute(insert(telemetry_cursors).values(name=_AUDIT, number=last))
                return []
            query = select(admin_audit).where(admin_audit.c.number > number).order_by(admin_audit.c.number)
            found = [recorded(row) for row in connection.execute(query.limit(_AT_ONCE))]
            if found:
                connection.execute(
                    update(telemetry_cursors).where(_TABLE.name == _AUDIT).values(number=found[-1].number)
                )
            return found

        return self._database.write(work, Domain.NOTICES) if self._database.read(has_more) else []
