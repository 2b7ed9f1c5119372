"""Backup and restore of SQLite's file, and facts about a store for its operator."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, update

from callgate.errors import StoreError
from callgate.store import audit
from callgate.store.approvals.state import end_where
from callgate.store.database import Database
from callgate.store.engine import connect_sqlite, open_engine
from callgate.store.errors import StoreBusyError
from callgate.store.model import Actor, State
from callgate.store.open import migrated, must_exist, read_store_revision
from callgate.store.ownership import check_owners
from callgate.store.permits import end_some
from callgate.store.place import Place, at_path
from callgate.store.revision import HEAD, REVISIONS
from callgate.store.sessions import end_all as end_all_sessions
from callgate.store.sqlite_file import (
    APPLICATION_ID,
    BACKUP_ID,
    check_header,
    check_pages,
    copy,
    files_beside,
    keep_private,
    new_backup,
    new_file,
    unused,
)
from callgate.store.tables import approvals, permits
from callgate.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection

_BY: Final = Actor("callgate", "")
_CAUSE: Final = "the store was restored from a backup"


@dataclass(frozen=True)
class Facts:
    """The contents of a store."""

    place: Place
    revision: str | None
    """The revision of its tables; None if PostgreSQL's database is empty."""
    approvals: dict[str, int]
    """The number of approvals by state."""
    active_permits: int

    @property
    def is_current(self) -> bool:
        """True if its tables are those of this version of callgate."""
        return self.revision == HEAD


def read_facts(place: Place) -> Facts:
    """Looks at an existing store without changing it, and checks SQLite's file whole.

    Raises:
        StoreError: There is none, or it cannot be used.
    """
    if place.path is not None:
        # Its operator may look at a backup, too.
        _recognise(place.path, may_be_backup=True)
        check_owners(place)
    database = Database(place, open_engine(place))
    try:
        if place.path is not None:
            check_pages(place.path, always=True)
        revision = read_store_revision(database)
        return database.read(lambda at: _facts(at, place, revision))
    finally:
        database.close()


def open_existing(place: Place) -> Database:
    """Opens a store of any known revision, without making or migrating it.

    Raises:
        StoreError: There is none, or it is something else.
    """
    if place.path is not None:
        _recognise(place.path)
        check_owners(place)
    return Database(place, open_engine(place))


def back_up(place: Place, target: Path) -> None:
    """Copies SQLite's store to a new file, while callgate may use it.

    Raises:
        StoreError: There is no store, the target exists or cannot be written, or the store is PostgreSQL's.
    """
    path = _path(place, "back it up with `pg_dump`")
    _recognise(path)
    check_owners(place)
    with new_backup(path, target) as partial:
        check_pages(partial, always=True)


def restore(place: Place, source: Path, now_us: int) -> Path | None:
    """Puts a backup in the place of SQLite's store, which no sidecar may use.

    What the backup holds as pending or approved is ended, and its permits too: calls may have used them since it was
    made, and would use them twice.

    Returns:
        Where the store is now that was there before; None if there was none.

    Raises:
        StoreError: The backup is none, the store is in use, or it is PostgreSQL's.
    """
    path = _path(place, "restore it with `pg_restore`, then run `callgate store end-approvals`")
    _recognise(source, may_be_backup=True)
    check_pages(source, always=True)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_owners(place)
        aside = unused(path.with_name(f"{path.name}.before-restore-{now_us // 1_000_000}"))
        with _held(path, aside) as is_there, new_file(path, replace=is_there) as partial:
            # A backup is one file; a log beside it is of somebody who has it open.
            copy(source, partial, APPLICATION_ID, read_only=True)
            _prepare(partial, source, now_us)
            if is_there:
                # Another name of the same file, so that there is a store at every moment.
                os.link(path, aside)
    except (OSError, sqlite3.Error) as error:
        message = f"cannot restore the store `{path}`: {reason_of(error)}"
        raise StoreError(message) from None
    if not is_there:
        return None
    # It may be a damaged one.
    with suppress(sqlite3.DatabaseError), closing(connect_sqlite(aside)) as connection:
        connection.execute(f"PRAGMA application_id={BACKUP_ID}")
    return aside


def end_live(place: Place, now_us: int) -> None:
    """Ends pending and approved approvals and all permits, as `restore` does: for PostgreSQL after `pg_restore`.

    Raises:
        StoreError: There is no store, or it cannot be used.
    """
    _of_current(open_existing(place), lambda at: _end_live(at, "end_approvals", "", now_us))


def _of_current(database: Database, work: Callable[[Connection], None]) -> None:
    try:
        if read_store_revision(database) != HEAD:
            message = f"the store `{database.place}` has an older revision; run `callgate store migrate` first"
            raise StoreError(message)
        database.write(work)
    finally:
        database.close()


def _facts(connection: Connection, place: Place, revision: str | None) -> Facts:
    if revision is None:
        return Facts(place, None, {}, 0)
    by_state = select(approvals.c.state, func.count().label("number")).group_by(approvals.c.state)
    states = {row.state: row.number for row in connection.execute(by_state)}
    # The first revision has no permits.
    if REVISIONS.index(revision) == 0:
        return Facts(place, revision, states, 0)
    active = select(func.count()).select_from(permits).where(permits.c.state == "active")
    return Facts(place, revision, states, connection.execute(active).scalar_one())


def _prepare(path: Path, source: Path, now_us: int) -> None:
    """Migrates a restored file, and ends what calls may have used since it was copied."""
    database = Database(at_path(path), open_engine(at_path(path)))
    try:
        read_store_revision(database)
        kept = migrated(database)
        if kept is not None:
            kept.unlink()
        database.write(lambda at: _end_live(at, "restore", f"from {source}", now_us))
    finally:
        database.close()
    with closing(connect_sqlite(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def _end_live(connection: Connection, action: str, reason: str, now_us: int) -> None:
    usable = (approvals.c.state.in_([State.PENDING.value, State.APPROVED.value]),)
    while end_where(connection, usable, _BY, _CAUSE, now_us):
        pass
    # Consumed ones stay what they are, and cannot be given back.
    consumed = approvals.c.state == State.CONSUMED.value
    connection.execute(update(approvals).where(consumed).values(until_us=0))
    while end_some(connection, (), _BY, _CAUSE, now_us):
        pass
    # One may have been ended after the backup was made.
    end_all_sessions(connection)
    audit.record(connection, [audit.Change(_BY, action, "store", "approvals", reason)], now_us)


@contextmanager
def _held(path: Path, aside: Path) -> Iterator[bool]:
    """Keeps everybody else out of the present file until it has been replaced; false if there is none."""
    if not path.exists():
        _move_remains(path, aside)
        yield False
        return
    keep_private(path)
    with closing(connect_sqlite(path)) as connection:
        try:
            # Only who is alone can leave the log; this also brings what is in it into the file.
            connection.execute("PRAGMA busy_timeout=0")
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                message = f"the store `{path}` is in use; stop callgate, then restore it"
                raise StoreBusyError(message) from None
            raise
        except sqlite3.DatabaseError:
            # It is damaged, which may be why it is restored.
            _move_remains(path, aside)
        yield True


def _move_remains(path: Path, aside: Path) -> None:
    # SQLite would write the log of the old file into the new one.
    for beside, target in zip(files_beside(path), files_beside(aside), strict=True):
        if beside.exists():
            beside.rename(target)


def _recognise(path: Path, *, may_be_backup: bool = False) -> None:
    must_exist(path)
    check_header(path, may_be_backup=may_be_backup)


def _path(place: Place, how: str) -> Path:
    if place.path is None:
        message = f"the store `{place}` is PostgreSQL's: {how}"
        raise StoreError(message)
    return place.path
