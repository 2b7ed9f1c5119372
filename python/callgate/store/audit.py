"""The admin audit: who changed what, from where and why. The database refuses to change or delete its rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select

from callgate.store.database import Domain
from callgate.store.model import Actor
from callgate.store.pages import MOST
from callgate.store.tables import admin_audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

_TABLE: Final = admin_audit.c


@dataclass(frozen=True)
class Change:
    """A change by an administrator."""

    by: Actor
    action: str
    kind: str
    object_id: str
    reason: str = ""
    digest_before: str | None = None
    digest_after: str | None = None


@dataclass(frozen=True)
class Recorded:
    """A change as it is stored."""

    number: int
    """Higher than that of every earlier record."""
    at_us: int
    change: Change


class AdminAudit:
    """The records of changes."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def add(self, change: Change, now_us: int) -> None:
        """Adds a record.

        Raises:
            StoreError: The store does not answer.
        """
        self._database.write(lambda at: record(at, [change], now_us), Domain.ADMINISTRATION)

    def page(
        self,
        *,
        kind: str | None = None,
        object_id: str | None = None,
        before: int | None = None,
        size: int = 100,
    ) -> list[Recorded]:
        """Records, newest first; `before` is the number of the last one of the page before.

        Raises:
            ValueError: An id without its kind.
            StoreError: The store does not answer.
        """
        if object_id is not None and kind is None:
            message = "expected a kind with the id"
            raise ValueError(message)
        query = select(admin_audit)
        if kind is not None:
            query = query.where(_TABLE.kind == kind)
        if object_id is not None:
            query = query.where(_TABLE.object_id == object_id)
        if before is not None:
            query = query.where(_TABLE.number < before)
        query = query.order_by(_TABLE.number.desc()).limit(max(1, min(size, MOST)))
        return self._database.read(lambda at: [recorded(row) for row in at.execute(query)])

    def after(self, number: int, *, size: int = 100) -> list[Recorded]:
        """Records after a number, oldest first.

        Raises:
            StoreError: The store does not answer.
        """
        query = select(admin_audit).where(_TABLE.number > number).order_by(_TABLE.number).limit(max(1, min(size, MOST)))
        return self._database.read(lambda at: [recorded(row) for row in at.execute(query)])


def digest(row: DataclassInstance | Mapping[str, str]) -> str:
    """The SHA-256 of a row in its present state, or of the fields of one that is in no table."""
    fields = dict(row) if isinstance(row, Mapping) else asdict(row)
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def record(connection: Connection, changes: Sequence[Change], now_us: int) -> None:
    """Adds records in the transaction of the changes themselves."""
    rows = [
        {
            "at_us": now_us,
            "actor": change.by.name,
            "source": change.by.source,
            "action": change.action,
            "kind": change.kind,
            "object_id": change.object_id,
            "digest_before": change.digest_before,
            "digest_after": change.digest_after,
            "reason": change.reason,
        }
        for change in changes
    ]
    connection.execute(insert(admin_audit), rows)


def recorded(row: Any) -> Recorded:  # noqa: ANN401  a row has its query's columns
    """The change of a row."""
    change = Change(
        by=Actor(row.actor, row.source),
        action=row.action,
        kind=row.kind,
        object_id=row.object_id,
        reason=row.reason,
        digest_before=row.digest_before,
        digest_after=row.digest_after,
    )
    return Recorded(row.number, row.at_us, change)
