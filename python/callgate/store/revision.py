"""The revision of the tables that a store has. It is read without alembic, which takes long to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from callgate.store.errors import StoreDamagedError, StoreVersionError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

TABLE: Final = "callgate_revision"
"""The table of the revision; not alembic's usual name, so that the store of another program is recognised."""

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""All revisions, oldest first."""

HEAD: Final = REVISIONS[-1]
"""The revision that this version of callgate uses."""


def read_revision(connection: Connection, place: object) -> str | None:
    """The revision of a store; None for an empty database.

    Raises:
        StoreDamagedError: The database holds something else.
        StoreVersionError: A newer callgate made the store.
    """
    tables = inspect(connection).get_table_names()
    if TABLE not in tables:
        if not tables:
            return None
        message = f"`{place}` holds tables, but no store of callgate; name another place, or a database that is empty"
        raise StoreDamagedError(message)
    found = list(connection.scalars(text(f"SELECT version_num FROM {TABLE}")))  # noqa: S608  a constant
    if len(found) != 1:
        message = f"the store `{place}` has {len(found)} revisions in place of one: it is damaged, restore a backup"
        raise StoreDamagedError(message)
    revision = str(found[0])
    if revision not in REVISIONS:
        message = (
            f"the store `{place}` has revision `{revision}`, made by a newer callgate; this one knows those up to "
            f"`{HEAD}`: use the newer callgate, or restore a backup from before"
        )
        raise StoreVersionError(message)
    return revision
