"""Migrations: an older store gets the tables that this version of callgate uses."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config

from callgate.store.revision import HEAD

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


_ONE_AT_ONCE: Final = threading.Lock()
"""alembic keeps the migration that runs in a global variable."""


def upgrade(connection: Connection, revision: str = HEAD) -> None:
    """Migrates up to a revision, within the connection's transaction. An empty database gets all tables."""
    with _ONE_AT_ONCE:
        command.upgrade(alembic_config(connection), revision)


def alembic_config(connection: Connection) -> Config:
    """The settings of alembic, for this connection."""
    config = Config(attributes={"connection": connection})
    # `%` begins a reference in this setting.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
