"""Requests that may be repeated: each change is made once, and its answer is kept for a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, select

from callgate.store.database import Domain
from callgate.store.tables import admin_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

KEPT_US: Final = 24 * 3_600 * 1_000_000
"""The time for which an answer is kept."""

_TABLE: Final = admin_requests.c
_AT_ONCE: Final = 100
"""Old answers that one change removes."""


@dataclass(frozen=True)
class RequestKey:
    """The caller of a request and the id that the caller gave to it."""

    caller: str
    request_id: str


@dataclass(frozen=True)
class KeptAnswer:
    """The answer to a request."""

    method: str
    digest: str
    """SHA-256 of the request, as hex digits."""
    answer: bytes


class Requests:
    """Requests with an id."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def find(self, key: RequestKey, now_us: int) -> KeptAnswer | None:
        """The answer to an earlier request with this key; None if there was none within a day.

        Raises:
            StoreError: The store does not answer.
        """
        return self._database.read(lambda at: _find(at, key, now_us))

    def once(
        self, key: RequestKey | None, work: Callable[[], KeptAnswer], domain: Domain, now_us: int
    ) -> tuple[KeptAnswer, bool]:
        """Runs `work` in one transaction with the record of its answer, or gives the answer of an earlier request.

        What `work` does with this database is part of the transaction; see `Database.together`. Without a key nothing
        is recorded.

        Returns:
            The answer, and true if it is that of an earlier request.

        Raises:
            StoreError: The store does not answer.
        """

        def joined() -> tuple[KeptAnswer, bool]:
            if key is None:
                return work(), False
            earlier = self._database.read(lambda at: _find(at, key, now_us))
            if earlier is not None:
                return earlier, True
            kept = work()
            self._database.write(lambda at: _keep(at, key, kept, now_us), domain)
            return kept, False

        return self._database.together(joined, domain)


def _find(connection: Connection, key: RequestKey, now_us: int) -> KeptAnswer | None:
    query = select(admin_requests).where(*_is(key), _TABLE.made_us > now_us - KEPT_US)
    row = connection.execute(query).one_or_none()
    return None if row is None else KeptAnswer(row.method, row.digest, bytes(row.answer))


def _keep(connection: Connection, key: RequestKey, kept: KeptAnswer, now_us: int) -> None:
    old = select(_TABLE.caller, _TABLE.request_id).where(_TABLE.made_us <= now_us - KEPT_US).limit(_AT_ONCE)
    for row in connection.execute(old).all():
        connection.execute(delete(admin_requests).where(*_is(RequestKey(row.caller, row.request_id))))
    connection.execute(delete(admin_requests).where(*_is(key)))
    connection.execute(
        insert(admin_requests).values(
            caller=key.caller,
            request_id=key.request_id,
            method=kept.method,
            digest=kept.digest,
            answer=kept.answer,
            made_us=now_us,
        )
    )


def _is(key: RequestKey) -> tuple[Any, ...]:
    return (_TABLE.caller == key.caller, _TABLE.request_id == key.request_id)
