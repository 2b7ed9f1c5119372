"""Housekeeping of the store: expiries, deletions and counts, with any number of replicas."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Collection
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from callgate import clock
from callgate.config.approvals import Approvals
from callgate.control.changes import Changes
from callgate.control.housekeeping import Housekeeping
from callgate.control.store_numbers import StoreNumbers
from callgate.store.attempts import Attempt
from callgate.store.live import count_live
from callgate.store.model import Actor, PermitBounds, PermitOffer, State, Used, Waiting
from callgate.store.place import in_folder
from callgate.store.sessions import LONGEST_US
from callgate.store.store import Store, open_store
from callgate.store.tables import login_links, sessions
from support.approvals import DAY, HOUR, NOW, answer, ask, need, new_id
from support.planes import wait_until
from support.replicas import ALLOW, replica

SETTINGS = Approvals()
BY = Actor("callgate", "test")
OLD, NEW = "a" * 64, "b" * 64


class Facts:
    """A configuration in force."""

    def __init__(self) -> None:
        self.versions = frozenset({OLD[:12]})
        self.grants: dict[str, bool] = {"g": False}
        self.pins: dict[tuple[str, str], str] = {}
        self.stamp = 0

    def policy_versions(self) -> frozenset[str]:
        return self.versions

    def pins_stamp(self) -> int:
        return self.stamp

    def configured_grants(self, grants: Collection[str]) -> dict[str, bool]:
        return {grant: is_revoked for grant, is_revoked in self.grants.items() if grant in grants}

    def pin_digests(self, server: str, tools: Collection[str]) -> dict[str, str]:
        return {tool: self.pins[server, tool] for tool in tools if (server, tool) in self.pins}


@pytest.fixture
def facts() -> Facts:
    return Facts()


@pytest.fixture
def keeper(facts: Facts) -> Housekeeping:
    return Housekeeping(facts, lambda: SETTINGS, Changes(), StoreNumbers())


def _scalar(query: Any, connection: Connection) -> int:
    return int(connection.execute(query).scalar_one())


def pending(store: Store, fingerprint: str = "f", **more: object) -> str:
    [outcome] = store.approvals.ask([ask(fingerprint, **{"policy_digest": OLD, **more})], NOW)
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def state(store: Store, approval: str, now: int = NOW) -> tuple[State, str]:
    found = store.approvals.get(approval, now)
    return found.state, found.cause


def test_what_is_over_is_written_and_old_things_are_forgotten(store: Store, keeper: Housekeeping) -> None:
    first = pending(store, evidence_arguments='{"a": 1}')
    keeper.tidy(store, NOW + HOUR - 1)
    assert count_live(store.database, NOW).approvals == {"approved": 0, "denied": 0, "pending": 1}
    # A time that is over counts before anybody has written so.
    assert count_live(store.database, NOW + HOUR).approvals == {"approved": 0, "denied": 0, "pending": 0}
    keeper.tidy(store, NOW + HOUR)
    assert count_live(store.database, NOW).approvals == {"approved": 0, "denied": 0, "pending": 0}
    assert state(store, first) == (State.EXPIRED, "its time is over")
    assert store.approvals.record(first).arguments == '{"a": 1}'
    keeper.tidy(store, NOW + 30 * DAY)
    assert store.approvals.record(first).arguments is None
    keeper.tidy(store, NOW + 729 * DAY)
    assert len(store.approvals.page(NOW).items) == 1
    keeper.tidy(store, NOW + 730 * DAY)
    assert store.approvals.page(NOW).items == ()


def test_links_and_sessions_that_are_over_are_deleted(store: Store, keeper: Housekeeping) -> None:
    assert store.sessions.add_link("unused", "root", NOW)
    assert store.sessions.add_link("used", "root", NOW)
    assert store.sessions.use_link("used", "session", Attempt(None, "127.0.0.1"), NOW)
    keeper.tidy(store, NOW)
    assert store.sessions.find("session", NOW) is not None
    keeper.tidy(store, NOW + LONGEST_US)
    for table in (sessions, login_links):
        count = select(func.count()).select_from(table)
        assert store.database.read(partial(_scalar, count)) == 0


def test_the_end_of_a_policy_ends_what_is_pending_alone(store: Store, keeper: Housekeeping, facts: Facts) -> None:
    waits, approved = pending(store), pending(store, "g")
    other, foreign = pending(store, "h", policy_digest=NEW), pending(store, "k", policy_digest="c" * 64)
    store.approvals.answer(approved, answer(), NOW)
    facts.versions = frozenset({OLD[:12], NEW[:12]})
    keeper.end_what_is_gone(store, NOW)
    assert state(store, waits)[0] is State.PENDING
    facts.versions = frozenset({NEW[:12]})
    for _ in range(2):
        keeper.end_what_is_gone(store, NOW)
    assert state(store, waits) == (State.ENDED, "the policy is no longer in force")
    assert [state(store, one)[0] for one in (approved, other)] == [State.APPROVED, State.PENDING]
    # Never served here: another sidecar may serve it.
    assert state(store, foreign)[0] is State.PENDING


@pytest.mark.parametrize("is_revoked", [False, True])
def test_the_end_of_a_grant_ends_everything_for_good(
    store: Store, keeper: Housekeeping, facts: Facts, *, is_revoked: bool
) -> None:
    of_permit = need(permit=PermitBounds(5, HOUR))
    waits, used, permitted = pending(store), pending(store, "u"), pending(store, "p")
    [other] = [pending(store, "o", grant="other")]
    store.approvals.answer(used, answer(), NOW)
    again = ask("u", policy_digest=OLD)
    [outcome] = store.approvals.ask([again], NOW)
    assert outcome == Used(used)
    store.approvals.withdraw(permitted, BY, "", NOW)
    [asked] = store.approvals.ask([ask("q", of_permit, policy_digest=OLD)], NOW)
    assert isinstance(asked, Waiting)
    offer = PermitOffer(new_id(), "{}", 5, HOUR)
    store.approvals.answer(asked.approval_id, answer(permit=offer), NOW)
    assert store.permits.get(offer.permit_id, NOW).is_active
    if not is_revoked:
        keeper.end_what_is_gone(store, NOW)
        assert state(store, waits)[0] is State.PENDING
    facts.grants = {"g": True} if is_revoked else {}
    for _ in range(2):
        keeper.end_what_is_gone(store, NOW)
    assert state(store, waits) == (State.ENDED, f"the grant is {'revoked' if is_revoked else 'gone'}")
    assert not store.permits.get(offer.permit_id, NOW).is_active
    assert state(store, other)[0] is State.PENDING
    # It stays consumed: it cannot be given back.
    assert store.approvals.restore(used, again.use_id, BY, NOW).state is State.CONSUMED


def test_another_pin_ends_what_was_asked_under_the_one_before(store: Store, keeper: Housekeeping, facts: Facts) -> None:
    pinned, unpinned = pending(store, pin_digest="1"), pending(store, "n")
    foreign = pending(store, "o", tool="u", pin_digest="3")
    keeper.end_what_is_gone(store, NOW)
    facts.pins = {("s", "t"): "1", ("s", "u"): "4"}
    keeper.end_what_is_gone(store, NOW)
    assert state(store, pinned)[0] is State.PENDING
    facts.pins = {("s", "t"): "2"}
    keeper.end_what_is_gone(store, NOW)
    assert state(store, pinned) == (State.ENDED, "the tool has changed")
    assert [state(store, one)[0] for one in (unpinned, foreign)] == [State.PENDING] * 2


def test_a_pin_of_another_replica_keeps_no_old_one_alive(store: Store, keeper: Housekeeping, facts: Facts) -> None:
    here = pending(store, pin_digest="1")
    facts.pins = {("s", "t"): "1"}
    keeper.end_what_is_gone(store, NOW)
    elsewhere = pending(store, "o", pin_digest="3")
    facts.pins = {("s", "t"): "2"}
    keeper.end_what_is_gone(store, NOW)
    assert state(store, here) == (State.ENDED, "the tool has changed")
    assert state(store, elsewhere)[0] is State.PENDING


def test_a_change_of_the_files_of_pins_is_looked_at_by_itself(
    store: Store, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callgate.control.housekeeping._COUNT_EVERY_S", 0.05)
    numbers = StoreNumbers()
    numbers.set_available(is_available=True)
    keeper = Housekeeping(facts, lambda: SETTINGS, Changes(), numbers)
    now_us = clock.now_us()
    [asked] = store.approvals.ask([ask("f", policy_digest=OLD, pin_digest="1")], now_us)
    assert isinstance(asked, Waiting)
    facts.pins = {("s", "t"): "1"}
    keeper.start(store)
    wait_until(lambda: numbers.approvals(now_us))
    assert state(store, asked.approval_id, now_us)[0] is State.PENDING
    # Neither the store nor a reload tells of it, and the next look by itself is a minute away.
    facts.pins, facts.stamp = {("s", "t"): "2"}, 1
    wait_until(lambda: state(store, asked.approval_id, now_us) == (State.ENDED, "the tool has changed"))
    keeper.stop()


def test_a_change_right_after_the_question_ends_it_too(store: Store, keeper: Housekeeping, facts: Facts) -> None:
    """A change before the first look at the configuration in force."""
    facts.pins = {("s", "t"): "2"}
    of_policy, of_grant, of_pin = pending(store), pending(store, "g", grant="h"), pending(store, "p", pin_digest="1")
    facts.grants = {"h": False}
    for one in (of_policy, of_grant, of_pin):
        keeper.asked(store.approvals.get(one, NOW).call)
    facts.versions, facts.grants = frozenset({NEW[:12]}), {}
    approved = pending(store, "a", policy_digest=NEW, grant="h")
    store.approvals.answer(approved, answer(), NOW)
    keeper.end_what_is_gone(store, NOW)
    assert {state(store, one)[0] for one in (of_policy, of_grant, of_pin, approved)} == {State.ENDED}


def test_a_question_while_others_are_looked_at_is_remembered(
    store: Store, keeper: Housekeeping, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def versions() -> frozenset[str]:
        # The approvals that live were read before.
        if not asked:
            asked.append(pending(store))
            keeper.asked(store.approvals.get(asked[0], NOW).call)
        return facts.versions

    monkeypatch.setattr(facts, "policy_versions", versions)
    keeper.end_what_is_gone(store, NOW)
    assert state(store, asked[0])[0] is State.PENDING
    facts.versions = frozenset({NEW[:12]})
    keeper.end_what_is_gone(store, NOW)
    assert state(store, asked[0])[0] is State.ENDED


def test_several_replicas_at_once(store: Store, facts: Facts) -> None:
    many = [pending(store, str(number), grant=f"g{number % 20}") for number in range(200)]
    facts.grants = {f"g{number}": True for number in range(20)}
    others = [open_store(store.place) for _ in range(2)]
    keepers = [Housekeeping(facts, lambda: SETTINGS, Changes(), StoreNumbers()) for _ in others]
    threads = [
        threading.Thread(target=keeper.end_what_is_gone, args=(other, NOW))
        for keeper, other in zip(keepers, others, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {state(store, one)[0] for one in many} == {State.ENDED}
    for other in others:
        other.close()


def test_it_runs_until_it_is_stopped_whatever_fails(
    facts: Facts, store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callgate.control.housekeeping._COUNT_EVERY_S", 0.05)
    monkeypatch.setattr("callgate.control.housekeeping._EVERY_S", 0.05)
    waits, fails = pending(store), [True]

    def revoked(_grants: Collection[str]) -> dict[str, bool]:
        if fails:
            raise ValueError("a secret")
        return {"g": True}

    monkeypatch.setattr(facts, "configured_grants", revoked)
    settings = Approvals(keep_arguments=timedelta(0))
    keeper = Housekeeping(facts, lambda: settings, Changes(), StoreNumbers())
    with caplog.at_level(logging.INFO, logger="callgate"):
        keeper.start(store)
        wait_until(lambda: "housekeeping_failed" in caplog.text)
        fails.clear()
        # The time of the test is long over, so that its pending approval is expired or ended.
        wait_until(lambda: state(store, waits)[0] is not State.PENDING)
        keeper.stop()
    assert "a secret" not in caplog.text
    assert [record.msg for record in caplog.records].count("housekeeping_failed") == 1


def test_a_sidecar_ends_approvals_of_a_policy_that_it_has_replaced(tmp_path: Path) -> None:
    now = time.time_ns() // 1_000
    with replica(tmp_path / "a", None) as one:
        [policy] = one.status["policies"]
        digest = policy["version"] + "0" * 52
        store = open_store(in_folder(tmp_path / "a" / "state"))
        asks = [ask("f", policy_digest=digest), ask("g", policy_digest="f" * 64)]
        kept, other = store.approvals.ask(asks, now)
        assert isinstance(kept, Waiting)
        assert isinstance(other, Waiting)
        wait_until(lambda: 'callgate_approvals{state="pending"} 2.0' in one.metrics())
        name = "callgate_oldest_pending_approval_timestamp_seconds "
        [oldest] = [line.removeprefix(name) for line in one.metrics().splitlines() if line.startswith(name)]
        assert float(oldest) == pytest.approx(now / 1e6)
        (tmp_path / "a" / "allow.json").write_text(json.dumps({**ALLOW, "description": "another"}))
        wait_until(lambda: store.approvals.get(kept.approval_id, now).state is State.ENDED)
        assert store.approvals.get(other.approval_id, now).state is State.PENDING
        wait_until(lambda: 'callgate_approvals{state="pending"} 1.0' in one.metrics())
        store.close()
