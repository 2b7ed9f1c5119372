"""A PostgreSQL server of the bench's own, with the settings of its packagers: each commit is synced to the disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 60.0
_USER = "callgate"


@dataclass(frozen=True)
class Postgres:
    """A running server, on a Unix socket alone."""

    folder: Path
    """The folder of its data and of its socket."""

    def url(self, schema: str) -> str:
        """The URL of a schema, which is made if there is none."""
        with self.connect() as connection:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        return f"postgresql+psycopg://{_USER}@/postgres?host={self.folder}&options=-csearch_path%3D{schema}"

    def connect(self) -> psycopg.Connection:
        """A connection whose statements are transactions of their own."""
        return psycopg.connect(host=str(self.folder), user=_USER, dbname="postgres", autocommit=True)


@contextmanager
def running() -> Iterator[Postgres]:
    """A server with its data on a disk; it refuses root, so that root runs it as `nobody`."""
    # The system's temporary folder may be memory, and `nobody` may not enter the folders of others.
    folder = Path(tempfile.mkdtemp(prefix="callgate-pg-", dir="/var/tmp"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=KILL"]
    try:
        initdb = [_program("initdb"), "--pgdata", str(folder / "data"), "--username", _USER, "--auth", "trust"]
        subprocess.run(
            [*as_user, *initdb, "--encoding", "UTF8", "--locale", "C.UTF-8"], check=True, stdout=subprocess.DEVNULL
        )
        command = [*as_user, _program("postgres"), "-D", str(folder / "data"), "-k", str(folder), "--listen_addresses="]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            postgres = Postgres(folder)
            _wait(postgres, server)
            yield postgres
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(_START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(postgres: Postgres, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(postgres):
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"PostgreSQL did not start:\n{(postgres.folder / 'log').read_text(encoding='utf-8')}")
        time.sleep(0.05)


def _answers(postgres: Postgres) -> bool:
    try:
        postgres.connect().close()
    except psycopg.OperationalError:
        return False
    return True


def _program(name: str) -> str:
    # Debian has several versions side by side, none of them on the path.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ["PATH"]]))
    if found is None:
        sys.exit(f"`{name}` is not installed: `make bench-control` installs PostgreSQL")
    return found
