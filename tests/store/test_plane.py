"""The store of a running control plane: opened, tried again, handed to its parts, and closed."""

from __future__ import annotations

import functools
import logging
import shutil
import sqlite3
import threading
from itertools import groupby
from pathlib import Path

import pytest

from callgate.config.faults import InvalidConfigError
from callgate.control.plane import Plane, StoreState
from callgate.control.store_numbers import StoreNumbers
from callgate.errors import StoreError
from callgate.store.changes import Kind
from callgate.store.freezes import Target
from callgate.store.model import Actor
from callgate.store.place import Place, in_folder, parse_place
from callgate.store.revision import HEAD
from callgate.store.store import Store, open_store
from support.approvals import NOW, ask, new_id
from support.planes import PATIENCE_S, Recorder, bundle_of, is_open, plane_of, temporary_bundle, wait_until
from support.postgres import Postgres

BY = Actor("a", "b")


def longer_than(heard: list[str], number: int) -> bool:
    return len(heard) > number


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.msg for record in caplog.records if record.msg.startswith(("store", "control"))]


def test_it_makes_the_store_and_hands_it_to_the_parts_in_order(empty_place: Place) -> None:
    log: list[str] = []
    plane = plane_of(empty_place)
    parts = [Recorder(log=log, name="a"), Recorder(log=log, name="b")]
    for part in parts:
        plane.add(part)
    assert plane.store is None
    plane.start()
    wait_until(lambda: is_open(plane))
    assert [part.store for part in parts] == [plane.store] * 2
    fields = plane.status.fields()
    assert (fields["place"], fields["state"], fields["revision"]) == (str(empty_place), "open", HEAD)
    plane.stop()
    assert log == ["start a", "start b", "stop b", "stop a"]
    assert plane.store is None


def test_a_stop_before_the_start_and_twice(tmp_path: Path) -> None:
    plane_of(in_folder(tmp_path)).stop()
    plane = plane_of(in_folder(tmp_path))
    plane.start()
    plane.stop()
    plane.stop()


def test_who_needs_the_store_at_once_waits_for_it(tmp_path: Path) -> None:
    plane = plane_of(in_folder(tmp_path / "a"))
    plane.wait(0)
    assert plane.status.state is StoreState.OPENING
    plane.start()
    plane.wait(PATIENCE_S)
    assert is_open(plane)
    plane.stop()
    (tmp_path / "b").mkdir(mode=0o700)
    (tmp_path / "b" / "callgate.db").write_bytes(b"none")
    plane = plane_of(in_folder(tmp_path / "b"))
    plane.start()
    plane.wait(PATIENCE_S)
    assert plane.status.state is StoreState.UNAVAILABLE
    plane.stop()


def test_parts_hear_of_changes_by_every_replica(empty_place: Place) -> None:
    plane, heard = plane_of(empty_place), set[str]()
    plane.changes.listen(heard.update, ["freezes", Kind.GRANTS])
    plane.start()
    wait_until(lambda: is_open(plane))
    other = open_store(empty_place)
    other.approvals.ask([ask()], NOW)
    other.freezes.freeze(new_id(), Target(), "r", BY, NOW)
    wait_until(lambda: heard)
    assert heard == {"freezes"}
    other.close()
    plane.stop()


def test_a_listener_that_fails_is_told_again_and_does_not_end_the_others(
    empty_place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    plane, heard, failures = plane_of(empty_place), list[str](), [ValueError("secret"), StoreError("busy"), None]

    def listener(kinds: frozenset[str]) -> None:
        heard.extend(kinds)
        if (failure := failures.pop(0)) is not None:
            raise failure

    plane.changes.listen(listener, ["freezes"])
    plane.start()
    wait_until(lambda: is_open(plane))
    other = open_store(empty_place)
    for number in range(2):
        other.freezes.freeze(new_id(), Target(server=str(number)), "r", BY, NOW)
        wait_until(functools.partial(longer_than, heard, number))
    wait_until(lambda: not failures)
    assert heard == ["freezes"] * 3
    assert "secret" not in caplog.text
    wait_until(lambda: is_open(plane))
    other.close()
    plane.stop()


def test_a_part_with_a_fault_of_its_own_is_tried_again_and_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Recorder):
        tries = 0

        def start(self, store: Store) -> None:
            self.tries += 1
            if self.tries < 4:
                raise ValueError("a secret")
            super().start(store)

    faulty, sound = Faulty(name="faulty"), Recorder(name="sound")
    plane = plane_of(in_folder(tmp_path))
    plane.add(faulty)
    plane.add(sound)
    plane.start()
    wait_until(lambda: is_open(plane))
    assert sound.log == ["start sound"]
    wait_until(lambda: faulty.log)
    plane.stop()
    assert (faulty.log, sound.log) == (["start faulty", "stop faulty"], ["start sound", "stop sound"])
    assert events(caplog) == ["control_plane_failed"]
    assert "a secret" not in caplog.text


def test_no_empty_store_takes_the_place_of_one_that_is_gone(tmp_path: Path) -> None:
    place, fails = in_folder(tmp_path / "state"), threading.Event()

    class Remover(Recorder):
        def start(self, store: Store) -> None:
            if not fails.is_set():
                fails.set()
                assert place.path is not None
                for file in place.path.parent.iterdir():
                    file.unlink()
                raise StoreError("the store does not answer")
            super().start(store)

    plane, part = plane_of(place), Remover()
    plane.add(part)
    plane.start()
    wait_until(lambda: "is gone" in str(plane.status.error))
    assert place.path is not None
    assert not place.path.exists()
    assert part.store is None
    plane.stop()


def test_a_part_that_cannot_start_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    plane = plane_of(in_folder(tmp_path))
    plane.add(Recorder(log=log, name="a"))
    plane.add(Recorder(log=log, name="b", fails=1))
    with caplog.at_level(logging.INFO, logger="callgate"):
        plane.start()
        wait_until(lambda: is_open(plane))
        plane.stop()
    assert log == ["start a", "start b", "stop a", "start a", "start b", "stop b", "stop a"]
    assert events(caplog) == ["store_unavailable", "store_open"]


@pytest.mark.parametrize("content", [b"", b"no store at all", None])
def test_a_store_that_cannot_be_used_is_told_once_and_opened_when_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """Another program's file, an empty one, and a store that a newer callgate made."""
    monkeypatch.setattr("callgate.control.plane._LAST_PAUSE_S", 0.3)
    place, numbers = in_folder(tmp_path / "state"), StoreNumbers()
    assert place.path is not None
    open_store(place).close()
    shutil.copy(place.path, tmp_path / "good")
    if content is not None:
        place.path.write_bytes(content)
    else:
        with sqlite3.connect(place.path) as connection:
            connection.execute("UPDATE callgate_revision SET version_num = '9999'")
        connection.close()
    before = place.path.read_bytes()
    plane = plane_of(place, numbers)
    with caplog.at_level(logging.INFO, logger="callgate"):
        plane.start()
        wait_until(lambda: 'operation="open"' in shown(numbers) and errors(numbers) >= 3)
        assert (plane.store, plane.status.state) == (None, StoreState.UNAVAILABLE)
        assert str(place) in str(plane.status.error)
        assert place.path.read_bytes() == before
        assert events(caplog) == ["store_unavailable"]
        (tmp_path / "good").replace(place.path)
        wait_until(lambda: is_open(plane))
        plane.stop()
    assert events(caplog) == ["store_unavailable", "store_open"]


def errors(numbers: StoreNumbers) -> float:
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415

    family = CounterMetricFamily("callgate_store_errors", "", labels=["store", "operation"])
    numbers.add_errors(family)
    return sum(sample.value for sample in family.samples if sample.labels["operation"] == "open")


def shown(numbers: StoreNumbers) -> str:
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415

    family = HistogramMetricFamily("callgate_store_duration_seconds", "", labels=["store", "operation"])
    numbers.add_durations(family)
    return "\n".join(f'operation="{sample.labels["operation"]}"' for sample in family.samples)


def test_a_file_that_is_removed_is_told_and_nothing_is_made_in_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = in_folder(tmp_path)
    plane, part = plane_of(place), Recorder()
    plane.add(part)
    assert place.path is not None
    with caplog.at_level(logging.INFO, logger="callgate"):
        plane.start()
        wait_until(lambda: is_open(plane))
        place.path.unlink()
        # A statement that runs meanwhile may have an error of its own.
        wait_until(lambda: "is gone" in str(plane.status.error))
        assert plane.status.state is StoreState.UNAVAILABLE
        # The part keeps its store: each use says what is wrong.
        assert part.store is not None
        assert not place.path.exists()
        plane.stop()
    assert events(caplog)[:2] == ["store_open", "store_unavailable"]
    assert "store_open" not in events(caplog)[1:]


def test_a_server_that_goes_and_comes_back(
    postgres: Postgres, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callgate.control.plane._LAST_PAUSE_S", 0.3)
    name, url = postgres.new_database()
    plane, heard = plane_of(parse_place(url)), set[str]()
    plane.changes.listen(heard.update, ["freezes"])
    with caplog.at_level(logging.INFO, logger="callgate"):
        plane.start()
        wait_until(lambda: is_open(plane))
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        wait_until(lambda: plane.status.state is StoreState.UNAVAILABLE)
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        wait_until(lambda: is_open(plane))
        other = open_store(parse_place(url))
        other.freezes.freeze(new_id(), Target(), "r", BY, NOW)
        wait_until(lambda: heard)
        other.close()
        plane.stop()
    # The lost connection and the refused one are two errors, and each may be told.
    told = [event for event, _ in groupby(events(caplog))]
    assert told[:3] == ["store_open", "store_unavailable", "store_open"]


def test_passwords_are_hidden(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plane = plane_of(parse_place(f"postgresql://me:pass-word@/db?host={tmp_path}"))
    with caplog.at_level(logging.INFO, logger="callgate"):
        plane.start()
        wait_until(lambda: plane.status.state is StoreState.UNAVAILABLE)
        plane.stop()
    assert events(caplog) == ["store_unavailable"]
    assert "pass-word" not in caplog.text + repr(plane.status)


def test_a_stop_does_not_wait_for_a_store_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, entered = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        entered.set()
        hangs.wait()

    monkeypatch.setattr("callgate.control.plane._STOP_S", 0.1)
    monkeypatch.setattr("callgate.store.store.open_database", hang)
    plane = plane_of(in_folder(tmp_path))
    plane.start()
    assert entered.wait(60)
    plane.stop()
    hangs.set()


def test_a_start_that_keeps_nothing_has_a_store_for_its_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bundle = temporary_bundle(tmp_path)
    plane = Plane(lambda: bundle, StoreNumbers())
    with caplog.at_level(logging.INFO, logger="callgate"):
        plane.start()
        wait_until(lambda: is_open(plane))
        plane.stop()
    assert plane.status.fields()["temporary"] is True
    assert plane.status.place == str(tmp_path / "callgate.db")
    assert "kept" in caplog.records[0].__dict__["fields"]


def test_a_place_that_is_none_is_an_error_at_the_start(tmp_path: Path) -> None:
    bundle = bundle_of(in_folder(tmp_path), store__url_file=tmp_path / "url")
    with pytest.raises(InvalidConfigError, match=r"either `store\.url` or `store\.url_file`"):
        Plane(lambda: bundle, StoreNumbers())
