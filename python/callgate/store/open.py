"""The opening of the store: made, recognised, migrated or refused."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from callgate.errors import StoreError
from callgate.store.database import Database, Domain
from callgate.store.engine import open_engine
from callgate.store.errors import StoreDamagedError, StoreGoneError, StoreVersionError
from callgate.store.failures import translated
from callgate.store.ownership import check_owners
from callgate.store.place import at_path
from callgate.store.revision import HEAD, read_revision
from callgate.store.sqlite_file import (
    APPLICATION_ID,
    check_header,
    check_pages,
    files_beside,
    keep_private,
    new_backup,
    new_file,
    remove_leftovers,
    unused,
)
from callgate.text import reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from callgate.store.place import Place


def open_database(place: Place, *, migrate: bool | None = None) -> Database:
    """Opens the store, and makes it if there is none.

    Args:
        place: The file or the URL.
        migrate: Migrate an older store. By default SQLite's is, with a backup beside it, and PostgreSQL's is not:
            other replicas may use it, and its operator makes the backups.

    Raises:
        StoreDamagedError: The place holds something else, or is damaged.
        StoreVersionError: A newer callgate made it, or it is older and is not to be migrated.
        StoreUnsafeError: Others could have written it.
        StoreError: It does not answer.
    """
    may_migrate = place.path is not None if migrate is None else migrate
    if place.path is not None:
        _prepare_file(place, place.path)
    database = Database(place, open_engine(place))
    try:
        if _checked_revision(database, may_migrate=may_migrate) != HEAD:
            migrated(database)
    except BaseException:
        database.close()
        raise
    return database


def must_exist(path: Path | None) -> None:
    """Refuses a file of SQLite that is not there, which `open_database` would make.

    Raises:
        StoreGoneError: There is none.
    """
    if path is not None and not path.exists():
        makes = "`callgate serve` makes one when it starts, and so does `callgate store migrate`"
        message = f"there is no store `{path}`; {makes}; or name its place with --state or --config"
        raise StoreGoneError(message)


def read_store_revision(database: Database) -> str | None:
    """The revision of the tables; None for an empty database.

    Raises:
        StoreError: It is no store, a newer one, or does not answer.
    """
    return database.read(lambda connection: read_revision(connection, database.place))


def _checked_revision(database: Database, *, may_migrate: bool) -> str | None:
    """The revision, if the store can be used or migrated; None for a new database."""
    revision = read_store_revision(database)
    if revision is None and database.is_sqlite:
        message = f"the store `{database.place}` is empty: it is damaged, restore a backup"
        raise StoreDamagedError(message)
    if revision not in {None, HEAD} and not may_migrate:
        message = (
            f"the store `{database.place}` has revision `{revision}`, and this callgate needs `{HEAD}`; back it up, "
            "then run `callgate store migrate`"
        )
        raise StoreVersionError(message)
    return revision


def migrated(database: Database) -> Path | None:
    """Migrates to the present revision, in one transaction that only one replica runs.

    Returns:
        The backup that was made; None if there was nothing to migrate, or the database is PostgreSQL's.
    """

    def work(connection: Connection) -> Path | None:
        # Read again: another replica may have been faster.
        revision = read_revision(connection, database.place)
        if revision == HEAD:
            return None
        path = database.place.path
        kept = None if path is None or revision is None else _back_up(path)
        _upgrade(connection, HEAD)
        return kept

    return database.write(work, Domain.SCHEMA)


def make_file(path: Path, revision: str = HEAD) -> None:
    """Makes a SQLite file with empty tables.

    Raises:
        FileExistsError: There is one.
        OSError: It cannot be made.
    """
    with new_file(path) as partial:
        engine = open_engine(at_path(partial))
        try:
            with engine.connect() as connection:
                connection.execute(text(f"PRAGMA application_id={APPLICATION_ID}"))
                connection.commit()
                _upgrade(connection, revision)
                connection.commit()
        finally:
            engine.dispose()


def _prepare_file(place: Place, path: Path) -> None:
    """Makes or recognises the file."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_owners(place)
        if not path.exists():
            _refuse_remains(path)
            # Another process may be faster.
            with suppress(FileExistsError):
                make_file(path)
        check_header(path)
        keep_private(path)
        remove_leftovers(path)
        check_pages(path)
    except SQLAlchemyError as error:
        raise translated(error, place) from None
    except OSError as error:
        message = f"cannot make the store `{path}`: {reason_of(error)}"
        raise StoreError(message) from None


def _refuse_remains(path: Path) -> None:
    # SQLite would write the log of the old file into the new one.
    remains = [beside for beside in files_beside(path) if beside.exists()]
    if remains:
        message = (
            f"`{path}` is gone, but `{remains[0]}` of it is still there; restore a backup with `callgate store "
            "restore FILE`, or move that file away to begin with an empty store"
        )
        raise StoreDamagedError(message)


def _upgrade(connection: Connection, revision: str) -> None:
    # alembic takes long to import, and most starts find a store of this revision.
    from callgate.store.migrate import upgrade  # noqa: PLC0415

    upgrade(connection, revision)


def _back_up(path: Path) -> Path:
    """Copies the store before a migration, whose transaction keeps others from writing meanwhile."""
    target = unused(path.with_name(f"{path.name}.before-{HEAD}"))
    with new_backup(path, target, "; the store was not migrated", read_only=True):
        return target
