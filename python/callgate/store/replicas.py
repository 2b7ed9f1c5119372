"""The replicas that use the store, and the state that each has reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, select, update

from callgate.store.database import Domain
from callgate.store.pages import MOST
from callgate.store.tables import replicas

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

KEPT_US: Final = 24 * 3_600 * 1_000_000
"""The time for which a replica stays that reports no more."""

_TABLE: Final = replicas.c


@dataclass(frozen=True)
class ReplicaReport:
    """The state of a replica when it reported last."""

    id: str
    host: str
    started_us: int
    seen_us: int
    stopped_us: int | None
    """The time of its stop; None if it runs, or has ended without a stop."""
    status: str
    """Its state as JSON."""


class Replicas:
    """The replicas."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def report(self, report: ReplicaReport) -> None:
        """Writes the state of a replica, and removes those that have not reported for a day.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> None:
            values = {
                "host": report.host,
                "started_us": report.started_us,
                "seen_us": report.seen_us,
                "stopped_us": report.stopped_us,
                "status": report.status,
            }
            changed = connection.execute(update(replicas).where(_TABLE.id == report.id).values(**values))
            if not changed.rowcount:
                connection.execute(insert(replicas).values(id=report.id, **values))
            connection.execute(delete(replicas).where(_TABLE.seen_us <= report.seen_us - KEPT_US))

        self._database.write(work, Domain.IDENTITY)

    def page(self, *, after: str = "", size: int = 100) -> list[ReplicaReport]:
        """The replicas in the order of their ids; `after` is the last id of the page before.

        Raises:
            StoreError: The store does not answer.
        """
        query = select(replicas).where(_TABLE.id > after).order_by(_TABLE.id).limit(max(1, min(size, MOST)))
        return self._database.read(lambda at: [_report(row) for row in at.execute(query)])


def _report(row: Any) -> ReplicaReport:  # noqa: ANN401  a row has its query's columns
    return ReplicaReport(row.id, row.host, row.started_us, row.seen_us, row.stopped_us, row.status)
