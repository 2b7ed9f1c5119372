"""A PostgreSQL server of the bench's own, with the settings of its packagers: each commit is synced to the disk."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

from support.postgres import Postgres, running_postgres

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["Postgres", "running"]


def running() -> AbstractContextManager[Postgres]:
    """A server with its data on a disk: the system's temporary folder may be memory."""
    return running_postgres(Path("/var/tmp"), {"listen_addresses": ""}, signal.SIGINT)
