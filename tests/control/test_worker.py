"""Threads of the control plane that work on the store."""

from __future__ import annotations

import logging
from threading import Event
from typing import Any, cast

import pytest

from callgate.control import worker
from callgate.control.changes import Changes
from callgate.control.worker import Worker
from callgate.errors import StoreError
from callgate.store.store import Store
from support.planes import wait_until

STORE = cast("Store", object())


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_RETRY_S", 0.001)


def test_it_works_at_its_start_and_after_each_change_until_the_stop() -> None:
    changes, stores = Changes(), list[Store]()
    one = Worker("w", stores.append, (changes, ["grants"]), failure="failed")
    one.start(STORE)
    wait_until(lambda: stores == [STORE])
    changes.tell(frozenset({"grants"}))
    wait_until(lambda: len(stores) == 2)
    changes.tell(frozenset({"policies"}))
    one.wake()
    wait_until(lambda: len(stores) == 3)
    one.stop()
    assert one.is_stopped
    changes.tell(frozenset({"grants"}))
    one.start(STORE)
    wait_until(lambda: len(stores) == 4)
    one.stop()
    assert len(stores) == 4


def test_it_works_again_after_the_time_that_it_says() -> None:
    runs: list[Any] = []

    def work(_: Store) -> float | None:
        runs.append(None)
        return 0.001 if len(runs) < 5 else None

    one = Worker("w", work, (Changes(), []), failure="failed")
    one.start(STORE)
    wait_until(lambda: len(runs) == 5)
    one.stop()


def test_an_error_is_told_once_and_the_work_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception | None] = [StoreError("a"), StoreError("a"), ValueError("secret"), None, StoreError("a")]
    done = Event()

    def work(_: Store) -> float | None:
        if not errors:
            done.set()
            return None
        error = errors.pop(0)
        if error is not None:
            raise error
        return 0

    one = Worker("w", work, (Changes(), []), failure="work_failed")
    with caplog.at_level(logging.INFO, logger="callgate"):
        one.start(STORE)
        assert done.wait(30)
        one.stop()
    told = [(record.msg, record.__dict__["fields"]["error"]) for record in caplog.records]
    assert [event for event, _ in told] == ["work_failed"] * 3
    assert [error for _, error in told if not error.startswith("internal error: ValueError at ")] == ["a", "a"]
    assert "secret" not in str(told)


def test_a_stop_does_not_wait_for_work_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_STOP_S", 0.001)
    let_go, runs = Event(), list[bool]()

    def work(_: Store) -> None:
        runs.append(True)
        let_go.wait(30)

    one = Worker("w", work, (Changes(), []), failure="failed")
    one.start(STORE)
    wait_until(lambda: len(runs) == 1)
    one.stop()
    one.start(STORE)
    wait_until(lambda: len(runs) == 2)
    one.stop()
    let_go.set()
