"""Changes of approvals, read once for all streams."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest

from callgate.admin.approvals.feed import ApprovalFeed
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


def test_many_streams_begin_with_what_waits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look at the store at a time, each of a few rows: more would take all of its connections."""
    monkeypatch.setattr("callgate.admin.approvals.feed._AT_ONCE", 2)
    feed, real, at_once, most = ApprovalFeed(store, News()), store.approvals.page, Semaphore(1), list[int]()
    for number in range(7):
        store.approvals.ask([ask(f"f{number}", grant=f"g{number % 2}")], now_us() + number)
    store.approvals.withdraw(real(now_us()).items[0].id, BY, "", now_us())

    def alone(*words: Any, **options: Any) -> Page[Approval]:
        assert at_once.acquire(blocking=False)
        try:
            page = real(*words, **options)
            most.append(len(page.items))
            return page
        finally:
            at_once.release()

    monkeypatch.setattr(store.approvals, "page", alone)
    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(lambda _: [one.call.fingerprint for one in feed.pending("")], range(40)))
    assert found == [[f"f{number}" for number in range(6)]] * 40
    assert max(most) == 2
    assert [one.call.fingerprint for one in feed.pending("g1")] == ["f1", "f3", "f5"]
    assert list(feed.pending("g2")) == []
