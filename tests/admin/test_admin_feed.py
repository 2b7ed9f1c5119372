"""Changes of approvals, read once for all streams."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest

from callgate.admin.approvals.feed import ApprovalFeed, Beginning
from callgate.admin.news import News
from callgate.clock import now_us
from callgate.store.model import Approval
from callgate.store.pages import Page
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store
from support.admin import BY
from support.approvals import ask


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(in_folder(tmp_path))
    yield store
    store.close()


def test_what_is_new_is_read_once_for_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    news = News()
    feed = ApprovalFeed(store, news)
    reads: list[int] = []
    real = store.approvals.since

    def counted(change: int, at_us: int) -> list[Approval]:
        reads.append(change)
        return real(change, at_us)

    monkeypatch.setattr(store.approvals, "since", counted)
    store.approvals.ask([ask("before")], now_us())
    assert feed.after(1) == []
    # From before the feed, so that the store is asked.
    assert [one.call.fingerprint for one in feed.after(0)] == ["before"]
    store.approvals.ask([ask("new")], now_us())
    assert feed.after(1) == []
    news.tell(["approvals"])
    before = len(reads)
    for _ in range(100):
        assert [one.call.fingerprint for one in feed.after(1)] == ["new"]
    assert len(reads) == before + 1
    assert feed.after(2) == []


def test_a_stream_that_is_far_behind_reads_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callgate.admin.approvals.feed._KEPT", 2)
    news = News()
    feed = ApprovalFeed(store, news)
    assert feed.after(0) == []
    for number in range(5):
        store.approvals.ask([ask(f"f{number}")], now_us())
        news.tell(["approvals"])
        assert [one.change for one in feed.after(number)] == [number + 1]
    assert [one.change for one in feed.after(0)] == [1, 2, 3, 4, 5]


def test_an_older_state_of_the_database_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    news = News()
    feed = ApprovalFeed(store, news)
    for number in range(3):
        store.approvals.ask([ask(f"f{number}")], now_us())
    assert feed.after(3) == []
    real = store.last_changes()
    monkeypatch.setattr(store, "last_changes", lambda: {kind: min(last, 1) for kind, last in real.items()})
    news.tell(["approvals"])
    assert feed.after(1) == []


def fingerprints(beginning: Beginning) -> list[str]:
    return [one.fingerprint for one in beginning]


@pytest.fixture
def reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each look at what waits. One is made at a time: more would take all connections of the store."""
    monkeypatch.setattr("callgate.admin.approvals.feed._AT_ONCE", 2)
    real, at_once, rows = store.approvals.page, Semaphore(1), list[int]()

    def alone(*words: Any, **options: Any) -> Page[Approval]:
        assert at_once.acquire(blocking=False)
        try:
            page = real(*words, **options)
            rows.append(len(page.items))
            return page
        finally:
            at_once.release()

    monkeypatch.setattr(store.approvals, "page", alone)
    return rows


def test_many_streams_begin_with_what_waits(store: Store, reads: list[int]) -> None:
    feed = ApprovalFeed(store, News())
    for number in range(7):
        store.approvals.ask([ask(f"f{number}", grant=f"g{number % 2}")], now_us() + number)
    store.approvals.withdraw(store.approvals.since(6, now_us())[0].id, BY, "", now_us())
    first = feed.beginning("")
    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(lambda _: fingerprints(feed.beginning("")), range(40)))
    assert found == [[f"f{number}" for number in range(6)]] * 40
    # Once for all of them.
    assert reads == [2, 2, 2]
    assert first.change == 8
    assert fingerprints(feed.beginning("g1")) == ["f1", "f3", "f5"]
    assert fingerprints(feed.beginning("g2")) == []


def test_a_stream_that_begins_later_reads_anew(store: Store, reads: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    feed = ApprovalFeed(store, News())
    for number in range(3):
        store.approvals.ask([ask(f"f{number}")], now_us() + number)
    slow = feed.beginning("")
    messages = iter(slow)
    assert next(messages).fingerprint == "f0"
    store.approvals.ask([ask("f3")], now_us() + 3)
    assert feed.beginning("") is slow
    monkeypatch.setattr("callgate.admin.approvals.feed._SHARED_S", 0.0)
    later = feed.beginning("")
    assert (slow.change, later.change) == (3, 4)
    assert fingerprints(later) == ["f0", "f1", "f2", "f3"]
    before = len(reads)
    # It goes on where it was.
    assert [one.fingerprint for one in messages] == ["f1", "f2", "f3"]
    assert len(reads) == before + 1


def test_what_nobody_reads_is_not_kept(store: Store, reads: list[int]) -> None:
    feed = ApprovalFeed(store, News())
    store.approvals.ask([ask("f")], now_us())
    for _ in range(2):
        assert fingerprints(feed.beginning("")) == ["f"]
    assert reads == [1, 1]
