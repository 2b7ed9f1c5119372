"""A PostgreSQL server of the tests' or a bench's own: in a temporary folder, on a Unix socket alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

START_S = 60.0
USER = "callgate"
_FAST: Mapping[str, str] = {
    "listen_addresses": "",
    # No data outlives the tests, which kill clients and not the server.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
}


class Postgres:
    """A running server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count()

    def new_schema(self) -> str:
        """The URL of an empty schema, which is a place of its own, and is made faster than a database."""
        return self.url(f"store_{next(self._numbers)}")

    def url(self, schema: str) -> str:
        """The URL of a schema, which is made if there is none."""
        self.run(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        return f"{self._url('postgres')}&options=-csearch_path%3D{schema}"

    def new_database(self) -> tuple[str, str]:
        """The name and the URL of an empty database."""
        name = f"store_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return name, self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@/{database}?host={self.folder}"

    def client(self, program: str, *words: str | Path) -> None:
        """Runs one of PostgreSQL's own programs against this server, as the administrator."""
        command = [_program(program), "--host", str(self.folder), "--username", USER, *map(str, words)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def run(self, statement: str, database: str = "postgres") -> None:
        """Runs a statement as the administrator."""
        with self.connect(database) as connection:
            connection.execute(statement)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection of the administrator, whose statements are transactions of their own."""
        return psycopg.connect(host=str(self.folder), user=USER, dbname=database, autocommit=True)


@contextmanager
def running_postgres(
    parent: Path | None = None,
    settings: Mapping[str, str] = _FAST,
    # SIGQUIT ends it at once, and lets no client finish.
    end: signal.Signals = signal.SIGQUIT,
) -> Iterator[Postgres]:
    """A server in a folder below `parent`, or below that of temporary files; ended by its own pid."""
    # Not below pytest's folder: the path of a socket is short, and that folder is closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="callgate-pg-", dir=parent))
    as_user = _as_other_user(folder)
    try:
        initdb = [
            _program("initdb"),
            "--pgdata",
            str(folder / "data"),
            "--username",
            USER,
            "--auth",
            "trust",
            "--no-sync",
        ]
        subprocess.run(
            [*as_user, *initdb, "--encoding", "UTF8", "--locale", "C.UTF-8"], check=True, capture_output=True
        )
        options = [f"--{name}={value}" for name, value in settings.items()]
        log = folder / "log"
        with log.open("wb") as lines:
            server = subprocess.Popen(
                [*as_user, _program("postgres"), "-D", folder / "data", "-k", folder, *options],
                stdout=lines,
                stderr=lines,
                stdin=subprocess.DEVNULL,
            )
        try:
            postgres = Postgres(folder)
            _wait(postgres, server, log)
            yield postgres
        finally:
            server.send_signal(end)
            server.wait(START_S)
        # Tests fail by a crash of the server without a word about it.
        crashes = [line for line in log.read_text(errors="replace").splitlines() if "terminated by signal" in line]
        assert not crashes, crashes
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(postgres: Postgres, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while not _answers(postgres):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def _answers(postgres: Postgres) -> bool:
    try:
        postgres.run("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _as_other_user(folder: Path) -> list[str]:
    """The words before a command by which it does not run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "nobody", "nogroup")
    # It dies with the tests, if they are killed.
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=KILL"]


def _program(name: str) -> str:
    # Debian has several versions side by side, none of them on the path.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    path = os.pathsep.join([*map(str, reversed(folders)), os.environ["PATH"]])
    found = shutil.which(name, path=path)
    assert found is not None, f"`{name}` is not there: make programs"
    return found
