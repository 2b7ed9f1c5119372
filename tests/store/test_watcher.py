"""Changes are seen by other replicas within seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from callgate.errors import StoreError
from callgate.store.changes import Kind
from callgate.store.database import Database
from callgate.store.documents import Edit
from callgate.store.engine import open_engine
from callgate.store.errors import StoreGoneError
from callgate.store.freezes import Target
from callgate.store.model import Actor
from callgate.store.place import Place, parse_place
from callgate.store.store import Store, open_store
from callgate.store.watcher import Watcher
from support.approvals import NOW, ask, new_id
from support.postgres import Postgres

LONG_S = 60.0


@pytest.fixture
def other(empty_place: Place, store: Store) -> Iterator[Store]:
    """Another replica of the same store."""
    assert store.place == empty_place
    replica = open_store(empty_place)
    yield replica
    replica.close()


def test_a_wait_ends_with_a_change_of_another_replica(store: Store, other: Store) -> None:
    watcher = store.watcher()
    seen = store.last_changes()
    for change, kind in [
        (lambda: other.approvals.ask([ask()], NOW), Kind.APPROVALS),
        (lambda: other.freezes.freeze(new_id(), Target(), "", Actor("a", "b"), NOW), Kind.FREEZES),
        (lambda: other.grants.put([Edit("g", "{}")], Actor("a", "b"), "", NOW), Kind.GRANTS),
        (lambda: store.grants.put([Edit("g", "[]")], Actor("a", "b"), "", NOW), Kind.GRANTS),
    ]:
        timer = threading.Timer(0.1, change)
        timer.start()
        now = watcher.wait(seen, LONG_S)
        timer.join()
        assert {one for one in Kind if now[one] != seen[one]} == {kind}
        seen = now
    watcher.close()


def test_what_changed_before_the_wait_is_seen_at_once(store: Store, other: Store) -> None:
    watcher, seen = store.watcher(), store.last_changes()
    other.approvals.ask([ask()], NOW)
    assert watcher.wait(seen, LONG_S)[Kind.APPROVALS] == 1
    # Kinds that nobody asks for end no wait.
    assert watcher.wait({Kind.FREEZES: 0}, 0.3)[Kind.APPROVALS] == 1
    watcher.close()


def test_a_wait_ends_with_its_time_and_when_it_is_closed(store: Store) -> None:
    watcher, seen = store.watcher(), store.last_changes()
    assert watcher.wait(seen, 0.3) == seen
    timer = threading.Timer(0.1, watcher.close)
    timer.start()
    assert watcher.wait(seen, LONG_S) == seen
    timer.join()
    assert watcher.wait(seen, LONG_S) == seen


def test_a_lost_connection_is_an_error_and_then_made_anew(postgres: Postgres) -> None:
    name, url = postgres.new_database()
    store = open_store(parse_place(url))
    watcher, seen = store.watcher(), store.last_changes()
    watcher.wait(seen, 0.0)
    ending = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    timer = threading.Timer(0.2, lambda: postgres.run(ending))
    timer.start()
    with pytest.raises(StoreError, match="does not answer"):
        watcher.wait(seen, LONG_S)
    timer.join()
    store.approvals.ask([ask()], NOW)
    assert watcher.wait(seen, LONG_S)[Kind.APPROVALS] == 1
    watcher.close()
    store.close()


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    place = parse_place(f"postgresql://me:pass-word@/db?host={tmp_path}")
    watcher = Watcher(Database(place, open_engine(place)))
    with pytest.raises(StoreGoneError, match="does not answer") as raised:
        watcher.wait({}, 0.0)
    assert "pass-word" not in str(raised.value)
    watcher.close()


def test_without_notifications_changes_are_seen_all_the_same(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler may keep notifications back."""
    monkeypatch.setattr("callgate.store.watcher.CHANNEL", "another_channel")
    place = parse_place(postgres.new_schema())
    store, other = open_store(place), open_store(place)
    watcher, seen = store.watcher(), store.last_changes()
    timer = threading.Timer(0.1, lambda: other.approvals.ask([ask()], NOW))
    timer.start()
    began = time.monotonic()
    assert watcher.wait(seen, LONG_S)[Kind.APPROVALS] == 1
    assert time.monotonic() - began < LONG_S
    timer.join()
    watcher.close()
    store.close()
    other.close()
