"""Connections to both databases, and their settings.

SQLite: WAL, and a sync of the log at each commit, because a lost row would admit a call twice. PostgreSQL: READ
COMMITTED, because each write transaction begins with an advisory lock (see `database.py`), and a snapshot that was
taken before the wait for the lock would be out of date after it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from sqlalchemy import create_engine, event
from sqlalchemy.pool import QueuePool

from callgate.errors import ConfigError
from callgate.store.errors import StoreGoneError
from callgate.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection, Engine

    from callgate.store.place import Place

BUSY_LEFT_S: Final = "callgate_busy_left_s"
"""Execution option of SQLite's connections whose transaction writes: the longest wait for another process."""

BUSY_S: Final = 2.0
"""Longest wait for another writer: the longest deadline of an approval."""

_CONNECTIONS: Final = 8
WRITING_CONNECTIONS: Final = 3
"""Writes of several domains go on at once on PostgreSQL; SQLite has one writer."""
_STATEMENT_S: Final = 30
_IDLE_IN_TRANSACTION_S: Final = 5
"""A replica that stops in the middle of a transaction holds the others up no longer than this."""

_BUSY_STEP_S: Final = 0.05
"""Differences of a wait that are not worth a statement of their own."""

_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    # Deleted data, such as arguments after their time, is overwritten.
    "PRAGMA secure_delete=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    # On macOS a plain sync leaves data in the disk's cache; elsewhere this changes nothing.
    "PRAGMA fullfsync=ON",
)


_open_files: Final[Counter[tuple[int, int]]] = Counter()
"""The files that SQLite has open in this process, with the number of their connections.

INVARIANT: while it has a file open, nothing else in this process opens and closes it. POSIX drops all locks of a
process on a file when it closes any descriptor of it; another process would then delete the log under SQLite.
"""

_opening: Final = threading.Lock()


class CountedConnection(sqlite3.Connection):
    """A connection whose file is known as open until it is closed."""

    file: tuple[int, int] | None = None
    busy_s: float = BUSY_S
    """The wait for another process that was set last."""

    def wait_at_most(self, seconds: float) -> None:
        """Sets the longest wait for another process, to the nearest step."""
        if abs(seconds - self.busy_s) >= _BUSY_STEP_S:
            self.execute(f"PRAGMA busy_timeout={seconds * 1_000:.0f}")
            self.busy_s = seconds

    def close(self) -> None:
        """Closes it, once."""
        super().close()
        file, self.file = self.file, None
        if file is not None:
            _forget(file)


def open_engine(place: Place, *, connections: int = _CONNECTIONS) -> Engine:
    """An engine that has no connection yet.

    Raises:
        ConfigError: PostgreSQL's driver is not installed.
    """
    return _postgresql(place, connections) if place.path is None else _sqlite(place.path, connections)


def connect_sqlite(path: Path, *, read_only: bool = False) -> CountedConnection:
    """A connection to an existing file, in which transactions begin explicitly.

    Raises:
        sqlite3.Error: The file cannot be opened. It is never created.
    """
    mode = "ro" if read_only else "rw"
    try:
        file = _identity(path)
    except OSError:
        message = "unable to open database file"
        raise sqlite3.OperationalError(message) from None
    with _opening:
        _open_files[file] += 1
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            factory=CountedConnection,
        )
    except BaseException:
        _forget(file)
        raise
    connection.file = file
    return connection


@contextmanager
def while_closed(path: Path) -> Iterator[bool]:
    """True if SQLite does not have the file open in this process, and does not open it before the block ends.

    Raises:
        OSError: There is none.
    """
    with _opening:
        yield _open_files[_identity(path)] == 0


def _sqlite(path: Path, connections: int) -> Engine:
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: connect_sqlite(path),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=BUSY_S,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in _PRAGMAS:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could not wait for another writer: its snapshot is too old.
        left_s = connection.get_execution_options().get(BUSY_LEFT_S)
        # By the driver itself: SQLAlchemy takes ten times as long for it.
        driver = cast("CountedConnection", connection.connection.driver_connection)
        if left_s is not None:
            driver.wait_at_most(left_s)
        driver.execute("BEGIN" if left_s is None else "BEGIN IMMEDIATE")

    return engine


def _postgresql(place: Place, connections: int) -> Engine:
    settings = {
        "lock_timeout": f"{BUSY_S * 1_000:.0f}ms",
        "statement_timeout": f"{_STATEMENT_S}s",
        "idle_in_transaction_session_timeout": f"{_IDLE_IN_TRANSACTION_S}s",
        "synchronous_commit": "on",
    }
    try:
        engine = create_engine(
            place.url,
            isolation_level="READ COMMITTED",
            pool_size=connections,
            max_overflow=0,
            pool_timeout=BUSY_S,
            # The server may have been restarted since a connection was used last.
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"connect_timeout": 5, "tcp_user_timeout": 5_000, "application_name": "callgate"},
        )
    except ImportError:
        message = f"the store `{place}` needs PostgreSQL's driver; install it with `pip install 'callgate[postgres]'`"
        raise ConfigError(message) from None

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401  psycopg is an extra
        try:
            with connection.cursor() as cursor:
                for name, value in settings.items():
                    cursor.execute(f"SET {name} = '{value}'")
            connection.commit()
        except BaseException:
            # The pool does not have it yet.
            connection.close()
            raise

    return engine


def identity(path: Path) -> tuple[int, int]:
    """The device and inode of the file.

    Raises:
        StoreGoneError: There is none.
    """
    try:
        return _identity(path)
    except OSError as error:
        message = f"the store `{path}` is gone: {reason_of(error)}; stop callgate and restore it"
        raise StoreGoneError(message) from None


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _forget(file: tuple[int, int]) -> None:
    with _opening:
        _open_files[file] -= 1
        if not _open_files[file]:
            del _open_files[file]
