"""Replicas that share a store deliver notices together: each one once, and those of a replica that has stopped."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path

import pytest

from callgate import clock
from callgate.config.bundle import Bundle, read_bundle
from callgate.config.load import Option
from callgate.control.notice_numbers import NoticeNumbers
from callgate.control.notices import Notices
from callgate.control.plane import Plane
from callgate.control.store_numbers import StoreNumbers
from callgate.store.place import Place
from callgate.store.store import open_store
from support.approvals import answer, ask, waiting
from support.planes import is_open, wait_until
from support.receiver import receiving, status

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
EVENTS = ["approval.requested", "approval.approved"]


def bundle_of(folder: Path, place: Place, url: str) -> Bundle:
    (folder / "secret").write_text(SECRET)
    receivers = {"ops": {"url": url, "secret_files": ["secret"], "events": EVENTS}} if url else {}
    file = folder / "callgate.json"
    file.write_text(json.dumps({"notices": {"receivers": receivers}}))
    return read_bundle(file, {("store", "url"): Option("--store", place.url)})


def plane_of(bundle: list[Bundle]) -> tuple[Plane, Notices, NoticeNumbers]:
    """A replica whose only part is that of notices; the last of the bundles is in force."""
    plane, numbers = Plane(lambda: bundle[-1], StoreNumbers()), NoticeNumbers()
    notices = Notices(lambda: bundle[-1], lambda: "https://callgate.example.com", plane.changes, numbers)
    plane.add(notices)
    return plane, notices, numbers


def test_two_replicas_deliver_each_notice_once(tmp_path: Path, empty_place: Place) -> None:
    with receiving() as receiver:
        bundle = bundle_of(tmp_path, empty_place, receiver.url)
        planes = [plane_of([bundle])[0] for _ in range(2)]
        store = open_store(empty_place)
        for plane in planes:
            plane.start()
        for plane in planes:
            wait_until(partial(is_open, plane))
        for begin in range(0, 40, 10):
            store.approvals.ask(
                [ask(str(number), grant=str(number)) for number in range(begin, begin + 10)], clock.now_us()
            )
        receiver.wait(40)
        # One of them ends, and the other one goes on.
        planes[0].stop()
        store.approvals.answer(waiting(store, "last", clock.now_us()), answer(), clock.now_us())
        receiver.wait(42)
        planes[1].stop()
        ids = [one.headers["webhook-id"] for one in receiver.taken]
        approvals = [json.loads(one.body)["data"]["approval"] for one in receiver.taken[:40]]
        store.close()
    assert len(set(ids)) == 42
    assert len(set(approvals)) == 40


def test_receivers_come_and_go_while_callgate_runs(
    tmp_path: Path, empty_place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving(status(500, "no")) as failing, receiving() as receiver:
        bundles = [bundle_of(tmp_path, empty_place, "")]
        plane, notices, numbers = plane_of(bundles)
        plane.start()
        wait_until(lambda: is_open(plane))
        store = open_store(empty_place)
        waiting(store, "untold", clock.now_us())
        assert list(numbers.families()) == []
        bundles.append(bundle_of(tmp_path, empty_place, failing.url))
        notices.reloaded()
        told = waiting(store, "told", clock.now_us())
        failing.wait(1)
        wait_until(lambda: store.notices.page().items[0].error)
        # Another address: what waits goes there once it is due.
        bundles.append(bundle_of(tmp_path, empty_place, receiver.url))
        notices.reloaded()
        [taken] = receiver.wait(1)
        assert json.loads(taken.body)["data"]["approval"] == told
        wait_until(lambda: store.notices.page().items[0].state.value == "sent")
        samples = {
            (sample.labels["receiver"], sample.labels["result"]): sample.value
            for family in numbers.families()
            if family.name == "callgate_notice_results"
            for sample in family.samples
        }
        assert samples["ops", "sent"] == 1
        assert samples["ops", "failed"] >= 1
        bundles.append(bundle_of(tmp_path, empty_place, ""))
        notices.reloaded()
        waiting(store, "after", clock.now_us())
        plane.stop()
        store.close()
    assert capsys.readouterr().out == ""
