"""Events of approvals and the outboxes of receivers, in both databases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text

from callgate.errors import StoreError
from callgate.store.database import Domain
from callgate.store.errors import StateError, UnknownIdError
from callgate.store.model import Actor, Approval, State, Verdict
from callgate.store.notices.model import NewNotice, Notice, NoticeEvent, NoticeState, TryResult
from callgate.store.notices.outbox import KEPT_US as DEAD_KEPT_US
from callgate.store.notices.outbox import OLDEST_US
from callgate.store.notices.receivers import KEPT_US, SEEN_EVERY_US
from callgate.store.store import Store
from support.approvals import CALLER, DAY, HOUR, NOW, SECOND, answer, approved, ask, need, new_id, waiting

BY = Actor("root (local)", "terminal")
OPS = {"ops": "digest"}
REFUSED = Verdict.DENY


def each(event: NoticeEvent, approval: Approval, facts: Mapping[str, Any], at_us: int) -> list[NewNotice]:
    """A notice of each event."""
    assert approval.call.grant == "g"
    assert facts["until_us"] >= 0
    return [NewNotice(new_id(), event, at_us, NOW + HOUR, None)]


def collected(store: Store, now: int = NOW, receiver: str = "ops") -> list[str]:
    """The events that a receiver's outbox gets, with the state before each of those that ended something."""
    while store.notice_receivers.collect(receiver, each, now)[0]:
        pass
    found = reversed(store.notices.page(receiver=receiver).items)
    return [f"{one.event.value.removeprefix('approval.')} {one.facts.get('was', '')}".rstrip() for one in found]


def claimed(store: Store, now: int = NOW, size: int = 10, claim: str = "claim") -> list[Notice]:
    return store.notices.claim("ops", claim, now, size=size, until_us=now + HOUR)


def test_nothing_is_written_while_nobody_is_told(store: Store) -> None:
    approved(store)
    store.notice_receivers.register(OPS, NOW)
    assert store.notice_receivers.collect("ops", each, NOW) == (0, 0)
    approved(store, "g")
    assert store.notice_receivers.collect("ops", each, NOW) == (2, 0)
    assert store.notice_receivers.collect("ops", each, NOW) == (0, 0)


def test_every_change_that_somebody_waits_for_is_an_event(store: Store) -> None:
    store.notice_receivers.register(OPS, NOW)
    two = waiting(store, "two", needs=[need(count=2)])
    store.approvals.answer(two, answer("ann"), NOW + 1)
    store.approvals.answer(two, answer("ben"), NOW + 2)
    denied = waiting(store, "denied", NOW + 3)
    store.approvals.answer(denied, answer("ann", REFUSED), NOW + 4)
    withdrawn = waiting(store, "withdrawn", NOW + 5)
    store.approvals.withdraw(withdrawn, BY, "no longer needed", NOW + 6)
    waiting(store, "gone", NOW + 7)
    store.approvals.end_of_grant("g", CALLER, "the grant is gone", NOW + 8)
    # Each outbox is filled in the order of the changes, whatever their times are.
    found = [one.split()[0] for one in collected(store, NOW + 9)]
    assert sorted(found) == sorted(
        # What was approved and what was denied end with the grant, too.
        [*["requested"] * 4, "answered", "approved", "denied", *["ended"] * 4]
    )
    ended = [one for one in store.notices.page().items if one.event is NoticeEvent.ENDED]
    assert {one.facts["was"] for one in ended} == {"pending", "approved", "denied"}
    assert {one.facts["reason"] for one in ended} == {"no longer needed", "the grant is gone"}


def test_the_end_of_time_is_an_event_whoever_notices_it(store: Store) -> None:
    store.notice_receivers.register(OPS, NOW)
    waiting(store, "by housekeeping")
    store.approvals.answer(waiting(store, "denied"), answer("ann", REFUSED), NOW)
    again = ask("by a call")
    store.approvals.ask([again], NOW)
    [outcome] = store.approvals.ask([ask("by a call")], NOW + HOUR)
    assert outcome is not None
    store.approvals.expire_due(NOW + HOUR)
    # Nobody waits for the end of a denial.
    assert sorted(collected(store, NOW + HOUR)) == sorted(
        ["requested"] * 4 + ["denied pending", "expired pending", "expired pending"]
    )


def test_an_event_is_of_the_transaction_of_its_change(store: Store) -> None:
    store.notice_receivers.register(OPS, NOW)
    approval = waiting(store)
    collected(store)

    def failing() -> None:
        store.approvals.answer(approval, answer(), NOW)
        raise StoreError("the transaction fails after the answer")

    with pytest.raises(StoreError):
        store.database.together(failing, Domain.CALLS)
    assert store.approvals.get(approval, NOW).state is State.PENDING
    assert collected(store) == ["requested"]


def test_each_receiver_has_an_outbox_of_its_own(store: Store) -> None:
    store.notice_receivers.register(OPS, NOW)
    waiting(store, "first")
    store.notice_receivers.register({**OPS, "chat": "other"}, NOW)
    waiting(store, "second")
    assert collected(store) == ["requested", "requested"]
    assert collected(store, receiver="chat") == ["requested"]
    # Events that all have are deleted, and the numbers go on.
    store.notice_receivers.forget(NOW)
    assert store.notice_receivers.collect("ops", each, NOW) == (0, 0)
    waiting(store, "third")
    assert len(collected(store)) == 3
    # One that no replica has configured for a week keeps nothing up.
    later = NOW + KEPT_US
    store.notice_receivers.register(OPS, later)
    store.notice_receivers.forget(later)
    assert [one.name for one in store.notice_receivers.statuses()] == ["ops"]


def test_a_notice_is_claimed_by_one(store: Store) -> None:
    store.notice_receivers.register(OPS, NOW)
    for number in range(3):
        waiting(store, str(number))
    collected(store)
    first = claimed(store, size=2)
    assert [len(first), len(claimed(store, claim="other"))] == [2, 1]
    assert claimed(store) == []
    store.notices.settle("claim", [TryResult(first[0].id, NoticeState.SENT)], NOW)
    assert store.notices.get(first[0].id).state is NoticeState.SENT
    # The claim is over: another one has it, and a late result of the first changes nothing.
    late = NOW + HOUR
    assert {one.id for one in claimed(store, late, claim="third")} >= {first[1].id}
    store.notices.settle("claim", [TryResult(first[1].id, NoticeState.DEAD, error="late")], late)
    assert store.notices.get(first[1].id).state is NoticeState.WAITING
    store.notices.settle("third", [TryResult(first[1].id, NoticeState.WAITING, due_us=late + 5, error="busy")], late)
    found = store.notices.get(first[1].id)
    assert (found.tries, found.due_us, found.error) == (1, late + 5, "busy")


def test_dead_letters_are_kept_tried_again_and_discarded(store: Store) -> None:
    store.notice_receivers.register(OPS, NOW)
    for number in range(2):
        waiting(store, str(number))
    collected(store)
    first, second = claimed(store)
    with pytest.raises(StateError, match="is waiting, so that it is no dead letter"):
        store.notices.retry(first.id, BY, NOW)
    store.notices.settle("claim", [TryResult(one.id, NoticeState.DEAD, error="no") for one in (first, second)], NOW)
    assert [(one.waiting, one.dead) for one in store.notice_receivers.statuses()] == [(0, 2)]
    store.notices.retry(first.id, BY, NOW + 1)
    store.notices.discard(second.id, BY, NOW + 2)
    with pytest.raises(UnknownIdError):
        store.notices.get(second.id)
    assert [one.id for one in claimed(store, NOW + 3)] == [first.id]
    acts = [(one.change.action, one.change.object_id) for one in store.audit.page(kind="notices")]
    assert acts == [("discard", second.id), ("retry", first.id)]


def test_old_notices_are_buried_and_deleted(store: Store) -> None:
    store.notice_receivers.register(OPS, NOW)
    for number in range(3):
        waiting(store, str(number))
    collected(store)
    sent, obsolete, old = claimed(store)
    results = [TryResult(sent.id, NoticeState.SENT), TryResult(obsolete.id, NoticeState.OBSOLETE, is_tried=False)]
    store.notices.settle("claim", results, NOW)
    assert store.notices.forget(NOW + DAY - SECOND) == 0
    assert len(store.notices.page().items) == 3
    assert store.notices.forget(NOW + DAY) == 0
    assert [one.id for one in store.notices.page().items] == [old.id]
    assert store.notices.forget(NOW + OLDEST_US) == 1
    assert store.notices.get(old.id).state is NoticeState.DEAD
    store.notices.forget(NOW + DEAD_KEPT_US)
    assert store.notices.page().items == ()


def test_a_stopped_receiver_is_served_again_at_another_address_or_when_somebody_says_so(store: Store) -> None:
    receivers = store.notice_receivers
    receivers.register(OPS, NOW)
    receivers.stop("ops", "status 410", NOW)
    receivers.register(OPS, NOW + SEEN_EVERY_US)
    assert receivers.is_stopped("ops")
    receivers.resume("ops", BY, NOW)
    assert not receivers.is_stopped("ops")
    with pytest.raises(StateError):
        receivers.resume("ops", BY, NOW)
    with pytest.raises(UnknownIdError, match="callgate notices receivers"):
        receivers.resume("nobody", BY, NOW)
    receivers.stop("ops", "status 410", NOW)
    receivers.register({"ops": "another"}, NOW)
    assert not receivers.is_stopped("ops")


def test_an_outbox_of_a_hundred_thousand_is_worked_on_in_steps(store: Store) -> None:
    store.notice_receivers.register(OPS, NOW)
    approval = waiting(store)
    collected(store)
    many = (
        "INSERT INTO notices "
        "(id, receiver, number, approval_id, event, at_us, facts, link_until_us, state, tries, due_us, made_us) "
        "WITH RECURSIVE rows (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM rows WHERE n < 99999) "
        f"SELECT 'many' || n, 'ops', n, '{approval}', 'approval.requested', {NOW}, '{{}}', {NOW}, 'waiting', 0, "
        f"{NOW} + n, {NOW} FROM rows"
    )
    store.database.write(lambda at: at.execute(text(many)), Domain.NOTICES)
    assert store.notices.next_due_us("ops") == NOW
    taken = claimed(store, NOW + HOUR, size=20)
    assert [one.due_us - NOW for one in taken][1:] == list(range(19))
    [status] = store.notice_receivers.statuses()
    assert status.waiting == 100_001
    # Approvals go on beside it.
    waiting(store, "beside")
    assert store.notice_receivers.collect("ops", each, NOW) == (1, 0)


def test_the_plan_of_a_claim_uses_the_index_of_what_is_due(store: Store) -> None:
    if not store.database.is_sqlite:
        query = "EXPLAIN SELECT * FROM notices WHERE state = 'waiting' AND receiver = 'ops' AND due_us <= 5 LIMIT 1"
        settings = "SET LOCAL enable_seqscan = off"
    else:
        query = (
            "EXPLAIN QUERY PLAN SELECT * FROM notices WHERE state = 'waiting' AND receiver = 'ops' AND due_us <= 5 "
            "ORDER BY due_us, number LIMIT 1"
        )
        settings = "SELECT 1"

    def plan(connection: Any) -> str:
        connection.exec_driver_sql(settings)
        return " ".join(str(row) for row in connection.exec_driver_sql(query))

    assert "ix_notices_due" in store.database.read(plan)
