"""Transactions of both databases, with one writer at a time.

SQLite has one writer by its nature. On PostgreSQL each write transaction first takes an advisory lock of its domain.
So what a transaction reads cannot change before it commits, on any replica: no transaction fails because of another
one, none deadlocks, caps are exact, and the same code is right on both. Waiting calls share transactions (see
`approvals/ask.py`), so the lock does not bound how many calls are answered.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from callgate.errors import StoreError
from callgate.store import engine as engines
from callgate.store.errors import ConflictError, StoreBusyError, StoreDamagedError, StoreGoneError
from callgate.store.failures import is_retried, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy.engine import Connection, Engine

    from callgate.store.place import Place

    Work = Callable[["Connection"], "_Result"]

_Result = TypeVar("_Result")

# Locks are of the whole database, and it may hold several stores, each in a schema.
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtext('callgate ' || coalesce(current_schema(), '')), :domain)")
_ATTEMPTS: Final = 3
# The driver's own too: see `statements.py` and `engine.py`.
_ERRORS: Final = (SQLAlchemyError, sqlite3.Error)


class Domain(IntEnum):
    """The subject of a write. Writes of two domains do not wait for each other on PostgreSQL."""

    SCHEMA = 0
    CALLS = 1
    """Approvals, permits and freezes, which calls wait for."""
    ADMINISTRATION = 2
    """Documents and pins, which imports change in bulk."""
    IDENTITY = 3
    """People, machine tokens and sessions: a login waits for no import."""
    NOTICES = 4
    """The outboxes of receivers: calls do not wait for what becomes of messages."""


class _Joined(threading.local):
    """The transaction of a thread that others of the thread join; see `Database.together`."""

    connection: Connection | None = None
    domains: frozenset[Domain] = frozenset()


class Observer(Protocol):
    """Takes the numbers of transactions."""

    def __call__(self, operation: str, seconds: float, *, failed: bool) -> None:
        """Takes one transaction, ``read`` or ``write``."""


class Database:
    """A database with its transactions."""

    def __init__(self, place: Place, engine: Engine) -> None:
        """Takes the place, which exists, and its engine."""
        self.place = place
        self.engine = engine
        # Of its own, so that writers do not wait for a connection behind readers.
        self.writing = engines.open_engine(place, connections=engines.WRITING_CONNECTIONS)
        self._identity = None if place.path is None else engines.identity(place.path)
        # SQLite's own wait for another writer sleeps in steps of up to 100 ms; threads of one process need not.
        self._writer = threading.Lock()
        self._joined = _Joined()
        self._closed = threading.Event()
        self.observer: Observer | None = None
        """The observer of transactions, called after each."""
        self.damage: StoreDamagedError | None = None
        """The first error by which a transaction met damaged data; others may still be read."""

    @property
    def is_sqlite(self) -> bool:
        """True for SQLite."""
        return self._identity is not None

    def read(self, work: Work[_Result]) -> _Result:
        """Runs `work` in a transaction that only reads.

        Raises:
            StoreError: The store does not answer.
        """
        if self._joined.connection is not None:
            return work(self._joined.connection)
        with self._observed("read"):
            try:
                self._check_identity()
                with self.engine.begin() as connection:
                    return work(connection)
            except _ERRORS as error:
                raise self._translated(error) from None

    def write(self, work: Work[_Result], domain: Domain = Domain.CALLS, *lower: Domain) -> _Result:
        """Runs `work` in a transaction that is on the disk when this returns.

        What it writes of other domains is of `lower` ones, the highest first: so no two wait for each other.

        Nothing of it is done if `work` raises. After a `StoreError` it may be done in one case: PostgreSQL's answer to
        the commit was lost.

        Raises:
            StoreError: The store does not answer.
        """
        if self._joined.connection is not None:
            return self._join(self._joined.connection, work, (domain, *lower))
        with self._observed("write"):
            for attempt in range(_ATTEMPTS):
                try:
                    return self._write(work, (domain, *lower))
                except _ERRORS as error:  # noqa: PERF203  a retry
                    if not is_retried(error) or attempt == _ATTEMPTS - 1:
                        raise self._translated(error) from None
        raise AssertionError  # the last attempt returns or raises

    def together(self, work: Callable[[], _Result], domain: Domain) -> _Result:
        """Runs `work`, whose reads and writes of this thread are one transaction, on the disk when this returns.

        Nothing of it is done if `work` raises. It may run more than once. What it writes of another domain than
        `domain` is of a lower one: so no two transactions wait for each other.

        Raises:
            StoreError: The store does not answer.
        """

        def joined(connection: Connection) -> _Result:
            self._joined.connection, self._joined.domains = connection, frozenset({domain})
            try:
                return work()
            finally:
                self._joined.connection = None

        return self.write(joined, domain)

    def close(self) -> None:
        """Closes all connections; one that a thread uses is closed when its transaction ends."""
        self._closed.set()
        self._dispose()

    def _translated(self, error: SQLAlchemyError | sqlite3.Error) -> StoreError | ConflictError:
        found = translated(error, self.place)
        if isinstance(found, StoreDamagedError) and self.damage is None:
            self.damage = found
        return found

    def _dispose(self) -> None:
        # Not `Engine.dispose`: it would give the engine a new pool, and nobody would close what comes back to the old.
        self.engine.pool.dispose()
        self.writing.pool.dispose()

    def _join(self, connection: Connection, work: Work[_Result], domains: Sequence[Domain]) -> _Result:
        """Runs `work` in the transaction of `together`, with the locks of its own domains too."""
        for domain in domains:
            if domain in self._joined.domains:
                continue
            if domain > min(self._joined.domains):
                message = f"a write of {domain.name} cannot join a transaction of {min(self._joined.domains).name}"
                raise AssertionError(message)
            if not self.is_sqlite:
                connection.execute(_LOCK, {"domain": int(domain)})
            self._joined.domains |= {domain}
        return work(connection)

    def _write(self, work: Work[_Result], domains: Sequence[Domain]) -> _Result:
        if not self.is_sqlite:
            with self.writing.begin() as connection:
                for domain in domains:
                    connection.execute(_LOCK, {"domain": int(domain)})
                return work(connection)
        end = time.monotonic() + engines.BUSY_S
        if not self._writer.acquire(timeout=engines.BUSY_S):
            message = f"the store `{self.place}` does not answer: another thread writes for too long; try again"
            raise StoreBusyError(message)
        try:
            # Before the connection too: it could not open a file that is gone.
            self._check_identity()
            left_s = max(end - time.monotonic(), 0)
            with (
                self.writing.connect().execution_options(**{engines.BUSY_LEFT_S: left_s}) as connection,
                connection.begin(),
            ):
                # A restore may have replaced it during the wait for the lock; in the transaction it cannot.
                self._check_identity()
                return work(connection)
        finally:
            self._writer.release()

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        """Tells the observer of a transaction; only one that the store does not answer has failed."""
        if self._closed.is_set():
            message = f"the store `{self.place}` is closed"
            raise StoreGoneError(message)
        began, failed = time.monotonic(), False
        try:
            yield
        except StoreError:
            failed = True
            raise
        finally:
            if self._closed.is_set():
                self._dispose()
            if self.observer is not None:
                self.observer(operation, time.monotonic() - began, failed=failed)

    def _check_identity(self) -> None:
        # A removed file can still be written by who has it open, and nobody would ever read that.
        if self.place.path is None or engines.identity(self.place.path) == self._identity:
            return
        message = f"the store `{self.place}` was replaced while it is in use; start callgate anew"
        raise StoreGoneError(message)
