"""Errors of the drivers in callgate's words."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError, TimeoutError  # noqa: A004  SQLAlchemy's name

from callgate.errors import StoreError
from callgate.store.errors import ConflictError, StoreBusyError, StoreDamagedError, StoreFullError, StoreGoneError

if TYPE_CHECKING:
    from callgate.store.place import Place

# Python 3.10 has no error codes of SQLite. These texts are the fixed ones of sqlite3_errstr.
_SQLITE: Final[dict[str, tuple[type[StoreError], str]]] = {
    "database is locked": (StoreBusyError, "another process holds it for too long; try again"),
    "database or disk is full": (StoreFullError, "the disk is full; free some space"),
    "disk I/O error": (StoreGoneError, "the disk gives an error, or is full"),
    "database disk image is malformed": (StoreDamagedError, "it is damaged; see `callgate store restore`"),
    "file is not a database": (StoreDamagedError, "it is no store of callgate, or damaged"),
    "unable to open database file": (StoreGoneError, "it cannot be opened"),
    "attempt to write a readonly database": (StoreGoneError, "it cannot be written; check the file's owner and mode"),
}

_BUSY: Final = (StoreBusyError, "another process holds it for too long; try again")
_POSTGRESQL: Final[dict[str, tuple[type[StoreError], str]]] = {
    "55P03": _BUSY,  # lock_not_available
    "57014": _BUSY,  # query_canceled, by statement_timeout
    "40001": _BUSY,  # serialization_failure
    "40P01": _BUSY,  # deadlock_detected
    "53100": (StoreFullError, "its disk is full"),
    "25006": (StoreGoneError, "it is read-only, as a standby is; name the primary"),
    "XX001": (StoreDamagedError, "it is damaged"),
    "XX002": (StoreDamagedError, "it is damaged"),
}
_RETRIED: Final = frozenset({"40001", "40P01"})


def translated(error: SQLAlchemyError | sqlite3.Error, place: Place) -> StoreError | ConflictError:
    """The error for callers, without the statement, its values and the password."""
    if isinstance(error, IntegrityError | sqlite3.IntegrityError) and _is_repeated(error):
        return ConflictError(f"the store `{place}` has something of this id already; give another one", 0)
    kind, why = _cause(error)
    return kind(f"the store `{place}` does not answer: {place.hide(why)}")


def is_retried(error: SQLAlchemyError | sqlite3.Error) -> bool:
    """True if the database undid the transaction only because of another one."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _RETRIED


def _is_repeated(error: SQLAlchemyError | sqlite3.Error) -> bool:
    driver = _of_driver(error)
    return getattr(driver, "sqlstate", None) == "23505" or "UNIQUE constraint failed" in str(driver)


def _of_driver(error: SQLAlchemyError | sqlite3.Error) -> BaseException | None:
    """The error of the driver; None if it is one of SQLAlchemy alone."""
    if isinstance(error, sqlite3.Error):
        return error
    return error.orig if isinstance(error, DBAPIError) else None


def _cause(error: SQLAlchemyError | sqlite3.Error) -> tuple[type[StoreError], str]:
    driver = _of_driver(error)
    if isinstance(error, TimeoutError):
        return StoreBusyError, "every connection is in use"
    if driver is None:
        return StoreError, next(iter(str(error).splitlines()), type(error).__name__)
    text = str(driver)
    for known, cause in _SQLITE.items():
        if known in text:
            return cause
    state = getattr(driver, "sqlstate", None)
    if state in _POSTGRESQL:
        return _POSTGRESQL[state]
    first = next(iter(text.splitlines()), type(driver).__name__).strip()
    is_gone = state is None or (isinstance(error, DBAPIError) and error.connection_invalidated)
    return (StoreGoneError if is_gone else StoreError), first
