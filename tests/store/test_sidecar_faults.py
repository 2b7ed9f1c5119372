"""A sidecar whose store is gone, locked, full, damaged, newer, slow or restarted: calls without approvals go on."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from callgate.store.database import Domain
from callgate.store.engine import connect_sqlite
from callgate.store.freezes import Target
from callgate.store.model import Actor
from callgate.store.open import open_database
from callgate.store.place import Place, in_folder, parse_place
from callgate.store.store import open_store
from support.approvals import NOW, new_id
from support.planes import wait_until
from support.postgres import Postgres
from support.replicas import Replica, replica

BY = Actor("ann", "test")
CALLS = 200


def goes_on(one: Replica) -> None:
    """Many calls, each answered as ever."""
    assert {one.rule() for _ in range(CALLS)} == {""}


def database(folder: Path) -> Path:
    path = in_folder(folder / "state").path
    assert path is not None
    return path


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def overwrite(path: Path) -> None:
    path.write_bytes(b"no store" * 1000)


def make_newer(path: Path) -> None:
    with closing(connect_sqlite(path)) as connection:
        connection.execute("UPDATE callgate_revision SET version_num = '9999'")


def forbid(path: Path) -> None:
    path.unlink()
    path.mkdir()


def open_to_all(path: Path) -> None:
    path.parent.chmod(0o777)


@pytest.mark.parametrize("spoil", [cut_off, overwrite, make_newer, forbid, open_to_all])
def test_a_store_that_cannot_be_opened(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    open_store(in_folder(tmp_path / "a" / "state")).close()
    spoil(database(tmp_path / "a"))
    with replica(tmp_path / "a", None, waits=False) as one:
        one.wait_for_store("unavailable")
        goes_on(one)
        status = one.status
        assert status["ready"] is True
        assert status["store"]["error"]
        assert str(database(tmp_path / "a").parent) in status["store"]["error"]
        metrics = one.metrics()
        assert 'callgate_store_available{store="sqlite"} 0.0' in metrics
        assert 'callgate_store_errors_total{operation="open",store="sqlite"} 0.0' not in metrics
        code, log = one.running.stop()
    assert code == 0
    assert log.count("store_unavailable") == 1


def test_a_store_that_is_removed_and_brought_back_with_a_restart(tmp_path: Path) -> None:
    with replica(tmp_path / "a", None) as one:
        path = database(tmp_path / "a")
        path.rename(tmp_path / "kept")
        one.wait_for_store("unavailable")
        goes_on(one)
        assert str(path) in one.status["store"]["error"]
        code, _ = one.running.stop()
        assert code == 0
        assert not path.exists()
    for beside in path.parent.glob("callgate.db-*"):
        beside.unlink()
    (tmp_path / "kept").rename(path)
    with replica(tmp_path / "a", None) as again:
        assert again.status["store"]["state"] == "open"


def test_a_locked_store(tmp_path: Path) -> None:
    with replica(tmp_path / "a", None) as one, closing(sqlite3.connect(database(tmp_path / "a"))) as other:
        other.execute("BEGIN EXCLUSIVE")
        goes_on(one)
        # In WAL mode what only reads goes on as well.
        assert one.status["store"]["state"] == "open"
        other.rollback()


def test_a_store_that_is_locked_at_the_start(tmp_path: Path) -> None:
    """Locks the store exclusively, so that no other process can even read it."""
    open_store(in_folder(tmp_path / "a" / "state")).close()
    with closing(sqlite3.connect(database(tmp_path / "a"), isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with replica(tmp_path / "a", None, waits=False) as one:
            one.wait_for_store("unavailable")
            goes_on(one)
            other.execute("ROLLBACK")
            other.close()
            one.wait_for_store()


def test_a_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files acts as a full disk."""
    with replica(tmp_path / "a", None) as one:
        size = 4096
        resource.prlimit(one.running.process.pid, resource.RLIMIT_FSIZE, (size, size))
        store = open_store(in_folder(tmp_path / "a" / "state"))
        store.freezes.freeze(new_id(), Target(grant="other"), "r", BY, NOW)
        wait_until(lambda: one.rule(grant="other") == "(frozen)")
        goes_on(one)
        store.close()
        assert one.status["ready"] is True


def test_a_slow_store(postgres: Postgres, tmp_path: Path) -> None:
    place = parse_place(postgres.new_schema())
    held, enough = threading.Event(), threading.Event()
    with replica(tmp_path / "a", place) as one:
        slow = open_database(place)

        def hold(_connection: object) -> None:
            held.set()
            enough.wait(60)

        thread = threading.Thread(target=lambda: slow.write(hold, Domain.CALLS))
        thread.start()
        assert held.wait(60)
        goes_on(one)
        enough.set()
        thread.join()
        slow.close()


def test_a_server_that_is_restarted(postgres: Postgres, tmp_path: Path) -> None:
    name, url = postgres.new_database()
    place = parse_place(url)
    with replica(tmp_path / "a", place) as one:
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        one.wait_for_store("unavailable")
        goes_on(one)
        assert 'callgate_store_available{store="postgresql"} 0.0' in one.metrics()
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        one.wait_for_store()
        goes_on(one)


def test_a_sidecar_stops_while_its_store_does_not_answer(tmp_path: Path) -> None:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = Place(f"postgresql+psycopg://u@127.0.0.1:{silent.getsockname()[1]}/x")
        with replica(tmp_path / "a", place, waits=False) as one:
            goes_on(one)
            os.kill(one.running.process.pid, signal.SIGTERM)
            assert one.running.process.wait(60) == 0
