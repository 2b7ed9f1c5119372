"""A store that is full, locked, gone or restarted: a clear error, nothing half written, and then it goes on."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.pool import QueuePool

from callgate.store.approvals.ask import Caps, ask_all
from callgate.store.database import Domain
from callgate.store.errors import StoreBusyError, StoreFullError, StoreGoneError
from callgate.store.open import open_database
from callgate.store.place import Place, in_folder, parse_place
from callgate.store.store import open_store
from support.approvals import NOW, ask
from support.postgres import Postgres


def test_a_full_disk(tmp_path: Path) -> None:
    database = open_database(in_folder(tmp_path))
    store = open_store(in_folder(tmp_path))
    [kept] = store.approvals.ask([ask("kept")], NOW)

    def full(connection: sqlite3.Connection, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(store.database.writing, "connect", full)
    store.database.writing.dispose()
    with pytest.raises(StoreFullError, match="the disk is full; free some space"):
        store.approvals.ask([ask(str(number), evidence="x" * 5000) for number in range(15)], NOW)
    event.remove(store.database.writing, "connect", full)
    store.database.writing.dispose()
    assert [one.id for one in store.approvals.page(NOW).items] == [kept.approval_id]  # type: ignore[union-attr]
    assert len(store.approvals.ask([ask(str(number)) for number in range(15)], NOW)) == 15
    store.close()
    database.close()


def test_a_locked_store(empty_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callgate.store.engine.BUSY_S", 0.2)
    first, second = open_database(empty_place), open_store(empty_place)
    if empty_place.path is None:
        first.engine.dispose()

    def hold(_connection: object) -> None:
        with pytest.raises(StoreBusyError, match="holds it for too long; try again"):
            second.approvals.ask([ask()], NOW)
        # What only reads goes on.
        assert second.approvals.page(NOW).items == ()

    first.write(hold, Domain.CALLS)
    assert len(second.approvals.ask([ask()], NOW)) == 1
    first.close()
    second.close()


def test_writers_do_not_wait_behind_readers(empty_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callgate.store.engine.BUSY_S", 0.2)
    store = open_store(empty_place)
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(store.database.engine.begin())
        with pytest.raises(StoreBusyError, match="every connection is in use"):
            store.approvals.page(NOW)
        assert len(store.approvals.ask([ask()], NOW)) == 1
    store.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_removed_while_it_is_in_use(tmp_path: Path, replaced: bool) -> None:
    store = open_store(in_folder(tmp_path / "state"))
    store.approvals.ask([ask()], NOW)
    path = store.place.path
    assert path is not None
    if replaced:
        shutil.copy(path, tmp_path / "copy")
        (tmp_path / "copy").rename(path)
    else:
        path.unlink()
    for use in (lambda: store.approvals.ask([ask()], NOW), lambda: store.approvals.page(NOW)):
        with pytest.raises(StoreGoneError, match="was replaced while" if replaced else "is gone"):
            use()
    assert path.exists() == replaced
    store.close()


def test_a_server_that_is_restarted(postgres: Postgres) -> None:
    name, url = postgres.new_database()
    store = open_store(parse_place(url))
    store.approvals.ask([ask()], NOW)
    postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    assert len(store.approvals.page(NOW).items) == 1
    store.close()


def test_stores_in_schemas_of_one_database_do_not_wait_for_each_other(postgres: Postgres) -> None:
    first, second = (open_store(parse_place(postgres.new_schema())) for _ in range(2))

    def meanwhile(_connection: Connection) -> None:
        assert len(second.approvals.ask([ask()], NOW)) == 1

    first.database.write(meanwhile)
    first.close()
    second.close()


def test_a_replica_that_stops_in_the_middle(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its session is ended, so that others go on; its uncommitted changes are undone."""
    monkeypatch.setattr("callgate.store.engine._IDLE_IN_TRANSACTION_S", 1)
    place = parse_place(postgres.new_schema())
    stopped, other = open_store(place), open_store(place)

    def stop(connection: Connection) -> None:
        ask_all(connection, [ask("stopped")], NOW, Caps(9, 9))
        # It waits at most two seconds for the lock.
        assert len(other.approvals.ask([ask("other")], NOW)) == 1

    with pytest.raises(StoreGoneError, match="does not answer"):
        stopped.database.write(stop)
    assert [one.call.fingerprint for one in other.approvals.page(NOW).items] == ["other"]
    stopped.close()
    other.close()


def test_a_store_that_is_closed_while_a_thread_reads(empty_place: Place) -> None:
    """The thread finishes its transaction; then its connection is closed too, and nobody opens another."""
    store = open_store(empty_place)

    def meanwhile(connection: Connection) -> bool:
        store.close()
        with pytest.raises(StoreGoneError, match="is closed"):
            store.freezes.in_force(NOW)
        return connection.closed

    assert not store.database.read(meanwhile)
    pools = [cast("QueuePool", engine.pool) for engine in (store.database.engine, store.database.writing)]
    assert [(pool.checkedin(), pool.checkedout()) for pool in pools] == [(0, 0), (0, 0)]
