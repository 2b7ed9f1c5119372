"""The signed log and the store in step, without a sidecar."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from callgate import clock
from callgate.config.audit import Audit
from callgate.control import logs
from callgate.control.audit_stream import AuditStream
from callgate.control.changes import Changes
from callgate.store.audit import Change
from callgate.store.audit_logs import LEASE_US
from callgate.store.model import Actor
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store

if TYPE_CHECKING:
    from callgate import Server

AUDIT = Audit(path=Path("log"), key_file=Path("key"), stream="host")


class Plane:
    """A data plane whose log signs when a test says so."""

    def __init__(self, origin: str = "host/1") -> None:
        self.origin, self.size, self.root = origin, 1, "root"
        self.lines: list[dict[str, Any]] = []
        self.signed: int | None = None
        self.has_room = True
        self.is_contested = False

    def set_audit_contested(self, is_contested: bool) -> None:
        self.is_contested = is_contested

    def audit_head(self) -> tuple[str, str, int, int | None]:
        return f"{self.origin}\n{self.size}\n{self.root}\n\nsignature\n", self.origin, self.size, self.signed

    def record_in_audit(self, line: str) -> bool:
        if self.has_room:
            self.lines.append(json.loads(line))
        return self.has_room

    def sign(self) -> None:
        self.size += 1
        self.signed = max((line["number"] for line in self.lines), default=None)

    def numbers(self) -> list[int]:
        return [line["number"] for line in self.lines]


class Time:
    """The time of this machine, moved by tests."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead_us = 0
        now_us, monotonic = clock.now_us, time.monotonic
        monkeypatch.setattr(clock, "now_us", lambda: now_us() + self._ahead_us)
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + self._ahead_us / 1e6)

    def advance(self, seconds: float) -> None:
        self._ahead_us += int(seconds * 1e6)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(in_folder(tmp_path / "state"))
    yield store
    store.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The events that were logged."""
    events: list[str] = []
    monkeypatch.setattr(logs, "log", lambda _level, event, _fields: events.append(event))
    return events


def stream_of(plane: Plane) -> AuditStream:
    return AuditStream(cast("Server", plane), lambda: AUDIT, Changes())


def work(stream: AuditStream, store: Store) -> None:
    stream._work(store)  # noqa: SLF001  one turn, without the thread that takes many


def change(store: Store, count: int = 1) -> list[int]:
    for _ in range(count):
        store.audit.add(Change(Actor("ann", "cli"), "create", "grants", "ci", "on call"), clock.now_us())
    return [one.number for one in reversed(store.audit.page(size=count))]


def test_admin_changes_follow_and_are_ticked_off(store: Store, moved: Time) -> None:
    change(store, 2)
    moved.advance(1)
    plane = Plane()
    stream = stream_of(plane)
    work(stream, store)
    assert plane.lines == [], "they are older than the log"
    numbers = change(store, 3)
    work(stream, store)
    work(stream, store)
    assert plane.numbers() == numbers
    [line, *_] = plane.lines
    assert {**line, "time": ""} == {
        "kind": "admin",
        "number": numbers[0],
        "time": "",
        "actor": "ann",
        "source": "cli",
        "action": "create",
        "object_kind": "grants",
        "object_id": "ci",
        "digest_before": None,
        "digest_after": None,
        "reason": "on call",
    }
    plane.sign()
    work(stream, store)
    [log] = store.audit_logs.logs()
    assert log.admin_until < numbers[0], "a record with a lower number may still appear"
    moved.advance(31)
    work(stream, store)
    [log] = store.audit_logs.logs()
    assert log.admin_until == numbers[-1]


def test_a_change_that_was_not_signed_follows_again_after_a_restart(store: Store, moved: Time) -> None:
    plane = Plane()
    work(stream_of(plane), store)
    numbers = change(store, 2)
    work(stream_of(plane), store)
    moved.advance(31)
    again = Plane()
    stream = stream_of(again)
    work(stream, store)
    assert again.numbers() == numbers, "at least once"
    again.has_room = False
    more = change(store)
    work(stream, store)
    assert again.numbers() == numbers
    again.has_room = True
    work(stream, store)
    assert again.numbers() == numbers + more


def test_two_replicas_of_one_stream(store: Store, moved: Time, told: list[str]) -> None:
    first, second = Plane("host/1"), Plane("host/2")
    one, other = stream_of(first), stream_of(second)
    work(one, store)
    for _ in range(4):
        work(other, store)
        moved.advance(LEASE_US / 1e6 / 2)
        first.sign()
        work(one, store)
    work(other, store)
    assert told == ["audit_stream_in_use"]
    assert (first.is_contested, second.is_contested) == (False, True)
    assert [one.origin for one in store.audit_logs.logs()] == ["host/1"]
    assert list(store.audit_logs.checkpoints("host/2")) == []
    moved.advance(LEASE_US / 1e6 + 1)
    work(other, store)
    assert not second.is_contested, "the other has ended"


def test_a_store_ahead_of_the_log_is_told_once(store: Store, moved: Time, told: list[str]) -> None:
    plane = Plane()
    plane.size = 9
    stream = stream_of(plane)
    work(stream, store)
    plane.size = 5
    work(stream, store)
    work(stream, store)
    assert told == ["audit_checkpoint_conflict"]
    assert plane.is_contested
    plane.size = 12
    work(stream, store)
    assert [one.size for one in store.audit_logs.checkpoints("host/1")] == [9, 12]
    assert plane.is_contested, "a log that grows past the other one is not the same log"
    assert moved is not None
