"""Delivery to real receivers that take messages, hang, lie, redirect, are overloaded, or want none."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Standard
from standardwebhooks.webhooks import WebhookVerificationError

from callgate import clock
from callgate._callgate import Webhook
from callgate.errors import ConfigError
from callgate.identity.secret_text import new_id
from callgate.notices.courier import Courier
from callgate.notices.receiver import Filters, Receiver
from callgate.notices.schedule import LONGEST_RETRY_AFTER_S, MOST_TRIES
from callgate.store.model import Person, Verdict
from callgate.store.notices.model import NoticeEvent, NoticeState
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store
from support.approvals import HOUR, SECOND, answer, ask, need, waiting
from support.planes import wait_until
from support.receiver import Answer, cut, hang, lie, receiving, status

BASE = "https://callgate.example.com"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
NEWER = "whsec_" + base64.b64encode(b"n" * 32).decode()
QUIET = Filters(frozenset(NoticeEvent) - {NoticeEvent.REMINDER})


class World:
    """A store with one receiver, whose courier runs when it is told; time is an argument."""

    def __init__(self, store: Store, url: str, **more: Any) -> None:
        self.store = store
        self.now = clock.now_us()
        self.reports: list[tuple[str, dict[str, Any]]] = []
        timeout_ms = more.pop("timeout_ms", 5_000)
        fields: dict[str, Any] = {"filters": QUIET, "secrets": (SECRET,), "format": "standard", **more}
        hook = Webhook(url, timeout_ms=timeout_ms)
        self.receiver = Receiver(name="ops", hook=hook, address_digest="digest", **fields)
        self.courier = self.another()
        store.notice_receivers.register({"ops": "digest"}, self.now)

    def another(self) -> Courier:
        """Another courier of the same receiver, as another replica has it."""
        return Courier(self.receiver, self.store, BASE, self._report, lambda: self.now, lambda: 1.0)

    def _report(self, _receiver: str, result: str, details: dict[str, Any]) -> None:
        self.reports.append((result, details))

    def wait(self, fingerprint: str = "f", **more: Any) -> str:
        """A new approval that waits for people, and its notices in the outbox."""
        approval = waiting(self.store, fingerprint, self.now, **more)
        self.collect()
        return approval

    def collect(self) -> None:
        """Puts the events into the outbox."""
        choose = lambda *event: self.receiver.choose(new_id, *event)  # noqa: E731  as the control plane binds it
        while self.store.notice_receivers.collect("ops", choose, self.now)[0]:
            pass

    def states(self) -> list[NoticeState]:
        """The states of all notices, the oldest first."""
        return [one.state for one in reversed(self.store.notices.page().items)]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(in_folder(tmp_path / "state"))
    yield store
    store.close()


def test_a_message_is_signed_by_every_secret_and_names_the_approval(store: Store) -> None:
    with receiving() as receiver:
        world = World(store, receiver.url, secrets=(NEWER, SECRET), shows_arguments=True)
        approval = world.wait(evidence_arguments='{"name": "x", "token": "cgt_' + "a" * 43 + '", "n": 1.10}')
        world.courier.work()
        [taken] = receiver.wait(1)
    for secret in (SECRET, NEWER):
        Standard(secret).verify(taken.body, taken.headers)
    with pytest.raises(WebhookVerificationError):
        Standard("whsec_" + base64.b64encode(b"o" * 32).decode()).verify(taken.body, taken.headers)
    body = json.loads(taken.body)
    [notice] = store.notices.page().items
    assert taken.headers["webhook-id"] == notice.id
    assert body["type"] == "approval.requested"
    data = body["data"]
    assert (data["approval"], data["state"], data["grant"], data["tool"]) == (approval, "pending", "g", "t")
    assert data["link"] == f"{BASE}/approvals/{approval}?notice={notice.id}"
    # A token that an agent wrote into an argument is no news for whoever reads messages.
    assert data["arguments"] == {"name": "x", "token": "cgt_...", "n": 1.1}
    assert b'"n": 1.10' in taken.body
    assert world.states() == [NoticeState.SENT]


def test_who_asked_is_told_of_the_end(store: Store) -> None:
    with receiving() as receiver:
        world = World(store, receiver.url, filters=Filters(QUIET.events - {NoticeEvent.REQUESTED}, grants=("agent-*",)))
        approval = waiting(store, "mine", world.now, grant="agent-7")
        store.approvals.answer(approval, answer("ann", Verdict.DENY, reason="not on a Friday"), world.now)
        other = waiting(store, "other", world.now, grant="another")
        store.approvals.answer(other, answer("ann"), world.now)
        world.collect()
        world.courier.work()
        [taken] = receiver.wait(1)
    data = json.loads(taken.body)["data"]
    assert json.loads(taken.body)["type"] == "approval.denied"
    assert (data["approval"], data["was"], data["reason"]) == (approval, "pending", "not on a Friday")
    assert "arguments" not in data


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (status(500, "oh no"), "status 500: oh no"),
        (status(400, "bad"), "status 400: bad"),
        (status(302, location="http://169.254.169.254/"), "status 302: redirects are not followed"),
        (cut, "the connection to the server broke"),
        (lie, "status 500"),
        (hang, "the server did not answer within 300 ms"),
    ],
)
def test_a_receiver_that_fails_is_tried_again_with_the_same_id(store: Store, reply: Answer, error: str) -> None:
    with receiving(reply) as receiver:
        world = World(store, receiver.url, timeout_ms=300)
        world.wait()
        world.courier.work()
        [notice] = store.notices.page().items
        assert (notice.state, notice.tries) == (NoticeState.WAITING, 1)
        assert error in (notice.error or "")
        assert notice.due_us == world.now + 5 * SECOND
        receiver.ended.set()
        receiver.answer = status(204)
        world.now = notice.due_us
        world.courier.work()
        first, second = receiver.wait(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == notice.id
    assert first.body == second.body
    assert world.states() == [NoticeState.SENT]
    # The second try is signed anew: a receiver refuses an old time.
    Standard(SECRET).verify(second.body, second.headers)


def test_a_failure_rests_the_receiver_and_not_each_notice(store: Store) -> None:
    with receiving(status(503, Retry_After="120")) as receiver:
        world = World(store, receiver.url)
        for number in range(5):
            world.wait(str(number))
        assert world.courier.work() == (120, True)
        assert len(receiver.taken) == 1
        assert sorted(one.tries for one in store.notices.page().items) == [0, 0, 0, 0, 1]
        receiver.answer = status(429, Retry_After="999999999")
        assert world.courier.work() == (LONGEST_RETRY_AFTER_S, True)
        receiver.answer = status(429, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT")
        pause_s, is_rest = world.courier.work()
        assert (pause_s, is_rest) == (4, True)
        # What is refused by itself holds nothing up.
        receiver.answer = status(422)
        assert world.courier.work() == (0, False)


def test_a_notice_becomes_a_dead_letter_after_the_last_try(store: Store) -> None:
    with receiving(status(400)) as receiver:
        world = World(store, receiver.url)
        world.wait(needs=[need(timeout_us=100 * 24 * HOUR)])
        began = world.now
        for _ in range(MOST_TRIES):
            assert world.states() == [NoticeState.WAITING]
            world.now = max(world.now, store.notices.page().items[0].due_us)
            world.courier.work()
        assert len(receiver.taken) == MOST_TRIES
    assert world.states() == [NoticeState.DEAD]
    assert 24 * HOUR < world.now - began < 48 * HOUR
    assert [result for result, _ in world.reports] == ["failed"] * (MOST_TRIES - 1) + ["dead"]


def test_a_receiver_that_is_gone_gets_nothing_more_and_loses_nothing(store: Store) -> None:
    with receiving(status(410)) as receiver:
        world = World(store, receiver.url)
        for number in range(3):
            world.wait(str(number))
        for _ in range(3):
            world.courier.work()
        assert len(receiver.taken) == 1
        assert store.notice_receivers.is_stopped("ops")
        assert world.states() == [NoticeState.WAITING] * 3
        receiver.answer = status(204)
        store.notice_receivers.register({"ops": "another address"}, world.now)
        world.courier.work()
    assert world.states() == [NoticeState.SENT] * 3


def test_reminders_come_while_people_are_waited_for(store: Store) -> None:
    with receiving() as receiver:
        world = World(store, receiver.url, filters=Filters(), reminders=(50, 90))
        answered, left = world.wait("answered"), world.wait("left")
        world.courier.work()
        assert len(receiver.taken) == 2
        world.now += HOUR // 2
        store.approvals.answer(answered, answer(), world.now)
        world.collect()
        world.courier.work()
        world.now += HOUR * 4 // 10
        world.courier.work()
        bodies = [json.loads(one.body) for one in receiver.wait(5)[2:]]
    told = [(one["type"], one["data"]["approval"]) for one in bodies]
    reminder = "approval.reminder"
    assert sorted(told) == sorted([("approval.approved", answered), (reminder, left), (reminder, left)])


def test_a_request_that_comes_late_needs_no_reminder_beside_it(store: Store) -> None:
    with receiving() as receiver:
        world = World(store, receiver.url, filters=Filters(), reminders=(50, 90))
        waiting(store, "late", world.now)
        world.now += HOUR * 6 // 10
        world.collect()
        world.courier.work()
        assert [json.loads(one.body)["type"] for one in receiver.wait(1)] == ["approval.requested"]
        world.now += HOUR * 3 // 10
        world.courier.work()
        assert [json.loads(one.body)["type"] for one in receiver.wait(2)][1:] == ["approval.reminder"]


def test_a_chat_is_not_asked_what_is_answered(store: Store) -> None:
    with receiving() as receiver:
        world = World(store, receiver.url, format="slack")
        approval = world.wait()
        store.approvals.answer(approval, answer(), world.now)
        world.collect()
        world.courier.work()
        [taken] = receiver.wait(1)
    assert "Approved: s/t" in json.loads(taken.body)["text"]
    # Both came into the outbox at the same time.
    assert set(world.states()) == {NoticeState.OBSOLETE, NoticeState.SENT}


def test_one_person_is_not_asked_about_their_own_grant(store: Store) -> None:
    ann = Person("https://login.example.com", "ann")
    with receiving() as receiver:
        world = World(store, receiver.url, person=ann)
        world.wait("own", owner=ann)
        world.wait("other")
    [notice] = store.notices.page().items
    assert notice.person == ann
    assert store.approvals.get(notice.approval_id, world.now).call.owner is None


def test_filters_are_of_grants_servers_and_groups(store: Store) -> None:
    filters = Filters(QUIET.events, grants=("a*z",), servers=("db", "s?"), approvers=("dba",))
    with receiving() as receiver:
        world = World(store, receiver.url, filters=filters)
        matching = {"grant": "a.z", "server": "db"}
        kept = [world.wait("1", needs=[need(approvers=("dba", "sre"))], **matching), world.wait("2", **matching)]
        world.wait("3", needs=[need(approvers=("sre",))], **matching)
        world.wait("4", **{**matching, "grant": "az2"})
        world.wait("5", **{**matching, "server": "sx"})
    assert {one.approval_id for one in store.notices.page().items} == set(kept)


def test_patterns_take_linear_time() -> None:
    filters = Filters(grants=("*a" * 30,))
    from callgate.store.model import Approval, Call, State  # noqa: PLC0415  for this test alone

    call = Call("f", "a" * 20_000 + "b", "s", "t", "p")
    approval = Approval("i", call, (need(),), None, State.PENDING, 0, 0, None, 0, "", "", "", None, 0)
    began = time.process_time()
    assert not filters.admits(approval)
    # Not a bound of the time: a pattern that goes back and forth would need years.
    assert time.process_time() - began < 60


def test_one_that_hangs_delays_no_other(store: Store, stack: ExitStack) -> None:
    slow, quick = stack.enter_context(receiving(hang)), stack.enter_context(receiving())
    world = World(store, slow.url, timeout_ms=30_000)
    receiver = Receiver(
        name="quick", format="standard", hook=Webhook(quick.url), address_digest="d", secrets=(SECRET,), filters=QUIET
    )
    store.notice_receivers.register({"quick": "d"}, world.now)
    world.wait()
    store.notice_receivers.collect("quick", lambda *event: receiver.choose(new_id, *event), world.now)
    couriers = [world.courier, Courier(receiver, store, BASE, lambda *_: None)]
    for courier in couriers:
        courier.start()
    quick.wait(1)
    assert len(slow.wait(1)) == 1
    wait_until(lambda: NoticeState.SENT in world.states())
    for courier in couriers:
        courier.stop()
    slow.ended.set()
    for courier in couriers:
        courier.join(30)


def test_a_replica_that_ended_between_delivery_and_result_repeats_the_id(store: Store) -> None:
    with receiving() as receiver:
        world = World(store, receiver.url)
        world.wait()
        # As after a kill: the message was taken, and nothing of it was written.
        [claimed] = store.notices.claim("ops", "ended", world.now, size=1, until_us=world.now + HOUR)
        world.courier.work()
        assert receiver.taken == []
        world.now += HOUR
        world.another().work()
        [taken] = receiver.wait(1)
    assert taken.headers["webhook-id"] == claimed.id


def test_couriers_of_two_replicas_deliver_each_notice_once(store: Store) -> None:
    with receiving() as receiver:
        world = World(store, receiver.url)
        asks = [ask(str(number)) for number in range(20)]
        store.approvals.ask(asks, world.now)
        world.collect()
        couriers = [world.courier, world.another()]
        for courier in couriers:
            courier.start()
        wait_until(lambda: world.states() == [NoticeState.SENT] * 20)
        for courier in couriers:
            courier.stop()
            courier.join(30)
        ids = [one.headers["webhook-id"] for one in receiver.taken]
    assert len(ids) == len(set(ids)) == 20


def test_no_receiver_is_met_at_a_link_local_address() -> None:
    for url in ("http://169.254.169.254/latest", "http://[fe80::1]/", "http://2852039166/"):
        with pytest.raises(ConfigError, match="url"):
            Webhook(url)
    with pytest.raises(ConnectionError, match="cannot be reached"):
        Webhook("http://callgate.invalid/hook", timeout_ms=5_000).post([], b"")
