"""The file of SQLite: made whole or not at all, for this user alone, recognised, copied and replaced."""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import stat
import time
from contextlib import closing, contextmanager, suppress
from itertools import chain, count
from typing import TYPE_CHECKING, Final

from callgate.disk import sync
from callgate.errors import StoreError
from callgate.store.engine import connect_sqlite, while_closed
from callgate.store.errors import StoreDamagedError, StoreGoneError
from callgate.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION_ID: Final = 0x6367_6174
"""`cgat`: the number in the header by which the file is known as callgate's."""

BACKUP_ID: Final = 0x6367_6162
"""`cgab`: likewise for a backup. A copy of it in the store's place would admit calls a second time."""

_MAGIC: Final = b"SQLite format 3\0"
_APPLICATION_ID_AT: Final = slice(68, 72)
_HEADER_BYTES: Final = 100
_LEFTOVER_S: Final = 86_400
_CHECKED_BYTES: Final = 64 << 20
"""Files up to this size are checked whole at each start, which takes a tenth of a second; larger ones on command."""


def check_header(path: Path, *, may_be_backup: bool = False) -> None:
    """Recognises a store by its first bytes, before SQLite changes anything.

    Raises:
        StoreDamagedError: It is something else, or cut off, or a backup that is not to be one.
        StoreGoneError: It cannot be read.
    """
    try:
        with while_closed(path) as is_closed:
            if not is_closed:
                # It was recognised when it was opened.
                return
            header = _read_header(path)
    except OSError as error:
        message = f"cannot read the store `{path}`: {reason_of(error)}"
        raise StoreGoneError(message) from None
    if len(header) == _HEADER_BYTES and header.startswith(_MAGIC):
        application_id = int.from_bytes(header[_APPLICATION_ID_AT], "big")
        if application_id == APPLICATION_ID or (application_id == BACKUP_ID and may_be_backup):
            return
        if application_id == BACKUP_ID:
            message = f"`{path}` is a backup, which would admit calls again; use `callgate store restore FILE`"
            raise StoreDamagedError(message)
        message = f"`{path}` is another program's SQLite file; name another place"
        raise StoreDamagedError(message)
    message = (
        f"`{path}` is no store of callgate, or damaged; restore a backup (`callgate store restore`) or move it away"
    )
    raise StoreDamagedError(message)


def _read_header(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        return file.read(_HEADER_BYTES) if is_file else b""


def check_pages(path: Path, *, always: bool = False) -> None:
    """Checks all pages; of a large file only if `always`.

    Raises:
        StoreDamagedError: One is damaged.
        StoreError: The file cannot be checked now.
    """
    try:
        if not always and path.stat().st_size > _CHECKED_BYTES:
            return
        with closing(connect_sqlite(path)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        message = f"cannot check the store `{path}`: {error}"
        raise StoreError(message) from None
    except sqlite3.DatabaseError as error:
        found = str(error)
    except OSError as error:
        message = f"the store `{path}` is gone: {reason_of(error)}"
        raise StoreGoneError(message) from None
    if found != "ok":
        message = f"the store `{path}` is damaged: {found}; restore a backup with `callgate store restore FILE`"
        raise StoreDamagedError(message)


def keep_private(path: Path) -> None:
    """Takes permissions of others away; SQLite gives the same mode to new files beside it."""
    for one in (path, *files_beside(path)):
        with suppress(FileNotFoundError):
            if one.stat().st_mode & 0o077:
                one.chmod(0o600)


@contextmanager
def new_file(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A new empty file under another name, which takes its place when the block ends, whole and on the disk.

    Raises:
        FileExistsError: The place is taken, and `replace` is false.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield partial
        sync(partial)
        if replace:
            partial.rename(path)
        else:
            # Unlike a rename, a link does not replace a store that another process has just made.
            os.link(partial, path)
        sync(path.parent)
    finally:
        for leftover in (partial, *files_beside(partial)):
            leftover.unlink(missing_ok=True)


def copy(path: Path, target: Path, application_id: int, *, read_only: bool = False) -> None:
    """Copies a consistent state of a store into an empty file, while others may use the store.

    Raises:
        OSError: A file cannot be opened.
        sqlite3.Error: The store cannot be read, or the copy cannot be written.
    """
    with closing(connect_sqlite(path, read_only=read_only)) as source, closing(connect_sqlite(target)) as connection:
        source.backup(connection)
        connection.execute(f"PRAGMA application_id={application_id}")
        # One file, without a log beside it.
        connection.execute("PRAGMA journal_mode=DELETE")


@contextmanager
def new_backup(path: Path, target: Path, note: str = "", *, read_only: bool = False) -> Iterator[Path]:
    """A new backup of a store under another name, which takes its place when the block ends.

    Raises:
        StoreError: It cannot be written; the message ends with `note`.
    """
    try:
        with new_file(target) as partial:
            copy(path, partial, BACKUP_ID, read_only=read_only)
            yield partial
    except FileExistsError:
        message = f"`{target}` exists already; name a new file"
        raise StoreError(message) from None
    except (OSError, sqlite3.Error) as error:
        message = f"cannot write the backup `{target}`: {reason_of(error)}{note}"
        raise StoreError(message) from None


def files_beside(path: Path) -> list[Path]:
    """The files that SQLite may keep beside a database."""
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]


def remove_leftovers(path: Path) -> None:
    """Removes new files that a killed process left, once nobody can be at work on them: they hold arguments."""
    name = re.compile(rf"{re.escape(f'.{path.name}.')}[0-9a-f]{{8}}(-wal|-shm|-journal)?")
    for other in path.parent.iterdir():
        with suppress(FileNotFoundError):
            if name.fullmatch(other.name) and time.time() - other.stat().st_mtime > _LEFTOVER_S:
                other.unlink()


def unused(path: Path) -> Path:
    """The path, with a number behind its name if it is taken."""
    places = (path.with_name(f"{path.name}-{number}") for number in count(1))
    return next(place for place in chain([path], places) if not place.exists())
