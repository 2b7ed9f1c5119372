"""Waiting for changes that any replica makes."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import SQLAlchemyError

from callgate.store.changes import CHANNEL, SCHEMA_DIGEST, Kind, last_numbers
from callgate.store.engine import connect_sqlite
from callgate.store.errors import StoreGoneError
from callgate.store.failures import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from callgate.store.database import Database

_POLL_S: Final = 0.2
"""Interval at which SQLite is asked whether another connection has written, which reads one page in memory."""

_LISTEN_S: Final = 1.0
"""Longest wait for a notification: one may be lost with a connection, or kept back by a pooler."""


class Watcher:
    """Waits for changes, on a connection of its own. One thread uses it; another may close it."""

    def __init__(self, database: Database) -> None:
        """Connects at the first wait."""
        self._database = database
        self._sqlite: sqlite3.Connection | None = None
        self._listening: Any = None
        self._closed = threading.Event()
        self._in_use = threading.Lock()

    def wait(self, seen: Mapping[Kind, int], timeout_s: float) -> dict[Kind, int]:
        """The numbers of the last changes, as soon as one differs from the one that was seen, or after a time.

        Raises:
            StoreError: The store does not answer; a later call connects anew.
        """
        with self._in_use:
            return self._wait(seen, time.monotonic() + timeout_s)

    def end(self) -> None:
        """Ends the wait of another thread, within a second if the store answers; returns at once."""
        self._closed.set()

    def close(self) -> None:
        """Ends the wait of another thread, and closes the connection after it."""
        self.end()
        with self._in_use:
            self._disconnect()

    def _wait(self, seen: Mapping[Kind, int], end: float) -> dict[Kind, int]:
        try:
            while not self._closed.is_set():
                self._connect()
                version = self._data_version()
                now = self._database.read(last_numbers)
                left = end - time.monotonic()
                if any(now[kind] != number for kind, number in seen.items()) or left <= 0:
                    return now
                self._pause(version, end)
            return self._database.read(last_numbers)
        except BaseException:
            self._disconnect()
            raise

    def _pause(self, version: int, end: float) -> None:
        """Waits until something may have changed."""
        if self._listening is not None:
            timeout_s = min(_LISTEN_S, max(end - time.monotonic(), 0))
            self._ask_driver(self._listening, lambda driver: _listen(driver, timeout_s))
            return
        while (left := end - time.monotonic()) > 0 and self._data_version() == version:
            if self._closed.wait(min(_POLL_S, left)):
                return

    def _connect(self) -> None:
        database = self._database
        if database.place.path is not None:
            if self._sqlite is None:
                try:
                    self._sqlite = connect_sqlite(database.place.path)
                except sqlite3.Error as error:
                    raise StoreGoneError(f"the store `{database.place}` cannot be opened: {error}") from None
        elif self._listening is None:
            try:
                pooled = database.engine.raw_connection()
            except SQLAlchemyError as error:
                raise translated(error, database.place) from None
            except Exception as error:  # noqa: BLE001  here SQLAlchemy leaves the driver's own errors as they are
                raise self._gone(error) from None
            self._listening = pooled.driver_connection
            # It keeps listening, so that it is not given back to the pool.
            pooled.detach()
            self._ask_driver(self._listening, lambda driver: driver.set_autocommit(True))
            self._ask_driver(self._listening, _subscribe)

    def _data_version(self) -> int:
        """A number that changes with each commit of another connection; 0 on PostgreSQL."""
        if self._sqlite is None:
            return 0
        try:
            return int(self._sqlite.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise StoreGoneError(f"the store `{self._database.place}` does not answer: {error}") from None

    def _ask_driver(self, driver: Any, work: Callable[[Any], object]) -> None:  # noqa: ANN401  psycopg is an extra
        try:
            work(driver)
        except Exception as error:  # noqa: BLE001  likewise, so that its errors have no name here
            raise self._gone(error) from None

    def _gone(self, error: Exception) -> StoreGoneError:
        place = self._database.place
        return StoreGoneError(f"the store `{place}` does not answer: {place.hide(str(error))}")

    def _disconnect(self) -> None:
        for connection in (self._sqlite, self._listening):
            if connection is not None:
                connection.close()
        self._sqlite = self._listening = None


def _subscribe(driver: Any) -> None:  # noqa: ANN401  as above
    [digest] = driver.execute(f"SELECT {SCHEMA_DIGEST}").fetchone()
    driver.execute(f"LISTEN {CHANNEL}_{digest}")


def _listen(driver: Any, timeout_s: float) -> None:  # noqa: ANN401  as above
    """Waits for one notification."""
    for _ in driver.notifies(timeout=timeout_s, stop_after=1):
        return
