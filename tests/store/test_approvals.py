"""The state machine of approvals, rule by rule, on both databases."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from callgate.store.errors import AnswerError, StateError, UnknownIdError
from callgate.store.model import (
    Approval,
    AtCapacity,
    Denied,
    Failed,
    Need,
    Outcome,
    PermitBounds,
    PermitOffer,
    Person,
    State,
    Used,
    Verdict,
    Waiting,
)
from callgate.store.pages import PageTokenError
from callgate.store.store import Store
from support.approvals import CALLER, DAY, HOUR, ISSUER, NOW, RULE, SECOND, answer, ask, need, new_id

AT_MAX = "/tools/t/limits/spend"


def waiting(store: Store, fingerprint: str = "f", at: int = NOW, needs: Sequence[Need] = (), **more: Any) -> str:
    """The id of a pending approval."""
    [outcome] = store.approvals.ask([ask(fingerprint, *needs, **more)], at)
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def approved(store: Store, fingerprint: str = "f", at: int = NOW, **more: Any) -> str:
    """The id of an approval that can be used."""
    approval_id = waiting(store, fingerprint, at, **more)
    assert store.approvals.answer(approval_id, answer(), at).state is State.APPROVED
    return approval_id


def state(store: Store, approval_id: str, at: int = NOW) -> State:
    return store.approvals.get(approval_id, at).state


def test_a_call_waits_under_one_id_and_is_used_once(store: Store) -> None:
    first, second = ask(), ask()
    outcomes = [*store.approvals.ask([first], NOW), *store.approvals.ask([second], NOW + SECOND)]
    until = NOW + HOUR
    assert outcomes == [
        Waiting(first.new_id, RULE, (), until, is_new=True),
        Waiting(first.new_id, RULE, (), until, is_new=False),
    ]
    decided = store.approvals.answer(first.new_id, answer(reason="fine"), NOW + 2 * SECOND)
    assert (decided.state, decided.until_us) == (State.APPROVED, NOW + 2 * SECOND + HOUR)
    assert (decided.changed_by, decided.changed_from, decided.cause) == (f"ann ({ISSUER})", "terminal", "fine")
    third, fourth = ask(), ask()
    assert store.approvals.ask([third, fourth], NOW + 3 * SECOND) == [
        Used(first.new_id),
        Waiting(fourth.new_id, RULE, (), NOW + 3 * SECOND + HOUR, is_new=True),
    ]
    used = store.approvals.get(first.new_id, NOW + 3 * SECOND)
    assert (used.state, used.use_id, used.changed_by, used.cause) == (State.CONSUMED, third.use_id, "g", "used")


@pytest.mark.parametrize(
    "changed", [{"fingerprint": "other"}, {"fingerprint": "other", "grant": "h"}, {"fingerprint": "F"}]
)
def test_another_call_is_another_approval(store: Store, changed: dict[str, str]) -> None:
    approval_id = approved(store)
    [outcome] = store.approvals.ask([ask(**changed)], NOW)
    assert isinstance(outcome, Waiting)
    assert outcome.is_new
    assert state(store, approval_id) is State.APPROVED


def test_a_denial_denies_until_its_time_is_over(store: Store) -> None:
    approval_id = waiting(store)
    at = NOW + HOUR // 2
    store.approvals.answer(approval_id, answer("ann", Verdict.DENY, reason="too much"), at)
    [outcome] = store.approvals.ask([ask()], at + HOUR - 1)
    assert outcome == Denied(approval_id, RULE, "too much", at + HOUR)
    [outcome] = store.approvals.ask([ask()], at + HOUR)
    assert isinstance(outcome, Waiting)
    assert outcome.is_new
    assert state(store, approval_id) is State.EXPIRED


def test_a_denial_wins_over_an_approval(store: Store) -> None:
    old = approved(store)
    use = ask()
    assert store.approvals.ask([use], NOW) == [Used(old)]
    new = waiting(store)
    store.approvals.restore(old, use.use_id, CALLER, NOW)
    # The older one is approved again, while the newer one is pending: it is used.
    use = ask()
    assert store.approvals.ask([use], NOW) == [Used(old)]
    store.approvals.restore(old, use.use_id, CALLER, NOW)
    store.approvals.answer(new, answer("bob", Verdict.DENY), NOW + 1)
    [outcome] = store.approvals.ask([ask()], NOW + 1)
    assert isinstance(outcome, Denied)
    assert outcome.approval_id == new


@pytest.mark.parametrize("skew", [0, -SECOND])
def test_a_denial_by_a_replica_whose_clock_is_behind(store: Store, skew: int) -> None:
    old, use = approved(store), ask()
    store.approvals.ask([use], NOW)
    new = waiting(store)
    store.approvals.restore(old, use.use_id, CALLER, NOW)
    store.approvals.answer(new, answer("bob", Verdict.DENY), NOW + skew)
    assert isinstance(store.approvals.ask([ask()], NOW)[0], Denied)


@pytest.mark.parametrize(("after", "expected"), [(HOUR - 1, Used), (HOUR, Waiting)])
def test_an_approval_is_valid_for_its_time(store: Store, after: int, expected: type[Outcome]) -> None:
    approved(store)
    [outcome] = store.approvals.ask([ask()], NOW + after)
    assert isinstance(outcome, expected)


def test_a_pending_one_that_nobody_answered_makes_room_for_a_new_one(store: Store) -> None:
    old = waiting(store)
    assert state(store, old, NOW + HOUR) is State.EXPIRED
    with pytest.raises(StateError, match=f"the approval `{old}` is expired, so that it cannot be answered"):
        store.approvals.answer(old, answer(), NOW + HOUR)
    assert waiting(store, at=NOW + HOUR) != old


def test_times_are_the_shortest_of_all_needs(store: Store) -> None:
    needs = need("/a", timeout_us=5 * SECOND, valid_us=HOUR), need("/b", timeout_us=HOUR, valid_us=7 * SECOND)
    call = ask("f", *needs)
    [outcome] = store.approvals.ask([call], NOW)
    assert isinstance(outcome, Waiting)
    assert outcome.until_us == NOW + 5 * SECOND
    assert store.approvals.answer(call.new_id, answer(), NOW + 1).until_us == NOW + 1 + 7 * SECOND


def test_every_rule_that_asks_must_have_been_asked(store: Store) -> None:
    approval_id = approved(store)
    [outcome] = store.approvals.ask([ask("f", need(), need(AT_MAX))], NOW)
    assert isinstance(outcome, Waiting)
    assert outcome.is_new
    assert store.approvals.ask([ask()], NOW) == [Used(approval_id)]
    store.approvals.answer(outcome.approval_id, answer(), NOW)
    # One that was made for more rules serves fewer.
    assert store.approvals.ask([ask("f", need(AT_MAX))], NOW) == [Used(outcome.approval_id)]


def test_each_need_has_its_own_people(store: Store) -> None:
    needs = need("/a", approvers=("ops",), count=2), need("/b", approvers=("money", "boss"))
    call = ask("f", *needs)
    [outcome] = store.approvals.ask([call], NOW)
    assert outcome == Waiting(call.new_id, "/a", ("ops",), NOW + HOUR, is_new=True)

    def give(name: str, *groups: str) -> Approval:
        return store.approvals.answer(call.new_id, answer(name, Verdict.APPROVE, *groups), NOW)

    assert (give("ann", "ops").state, give("ann", "ops").open_rule) == (State.PENDING, "/a")
    with pytest.raises(AnswerError, match="asks people of other groups: `boss`, `money`, `ops`"):
        give("eve", "guests")
    assert give("bob", "ops", "guests").open_rule == "/b"
    [again] = store.approvals.ask([ask("f", *needs)], NOW)
    assert again == Waiting(call.new_id, "/b", ("money", "boss"), NOW + HOUR, is_new=False)
    done = give("cat", "boss")
    assert (done.state, done.open_rule) == (State.APPROVED, None)


def test_one_person_can_meet_several_needs(store: Store) -> None:
    call = ask("f", need("/a", approvers=("ops",)), need("/b", approvers=("boss",)))
    store.approvals.ask([call], NOW)
    given = answer("ann", Verdict.APPROVE, "ops", "boss")
    assert store.approvals.answer(call.new_id, given, NOW).state is State.APPROVED


def test_the_same_person_twice_is_one(store: Store) -> None:
    approval_id = waiting(store, needs=(need(count=2),))
    for _ in range(3):
        assert store.approvals.answer(approval_id, answer(), NOW).state is State.PENDING
    other_issuer = answer().__class__(Person("https://other.example", "ann"), frozenset(), Verdict.APPROVE, "web")
    assert store.approvals.answer(approval_id, other_issuer, NOW).state is State.APPROVED
    record = store.approvals.record(approval_id)
    assert [given.is_current for given in record.answers] == [False, False, True, True]


def test_one_denial_denies(store: Store) -> None:
    approval_id = waiting(store, needs=(need(count=3),))
    store.approvals.answer(approval_id, answer("ann"), NOW)
    store.approvals.answer(approval_id, answer("bob"), NOW)
    assert store.approvals.answer(approval_id, answer("bob", Verdict.DENY), NOW).state is State.DENIED


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_owner_may_not_answer(store: Store, verdict: Verdict) -> None:
    owner = Person(ISSUER, "olga")
    approval_id = waiting(store, owner=owner)
    with pytest.raises(AnswerError, match="the grant `g` belongs to you"):
        store.approvals.answer(approval_id, answer("olga", verdict), NOW)
    with pytest.raises(AnswerError, match="the grant `g` belongs to you"):
        store.approvals.answer(approval_id, answer("ann", verdict, owner=Person(ISSUER, "ann")), NOW)
    assert state(store, approval_id) is State.PENDING
    assert store.approvals.record(approval_id).answers == ()
    other = answer().__class__(Person("https://other.example", "olga"), frozenset(), verdict, "web")
    store.approvals.answer(approval_id, other, NOW)


@pytest.mark.parametrize("offer", [None, PermitOffer(new_id(), "{}", 1, HOUR)])
def test_an_earlier_answer_of_the_present_owner_does_not_count(store: Store, offer: PermitOffer | None) -> None:
    ann = Person(ISSUER, "ann")
    approval_id = waiting(store, needs=(need(count=2, permit=PermitBounds(1, HOUR)),))
    store.approvals.answer(approval_id, answer("ann", permit=offer), NOW)
    for name, expected in [("bob", State.PENDING), ("cat", State.CONSUMED if offer else State.APPROVED)]:
        assert store.approvals.answer(approval_id, answer(name, owner=ann, permit=offer), NOW).state is expected
    if offer is not None:
        assert [one.subject for one in store.permits.get(offer.permit_id, NOW).made_by] == ["bob", "cat"]


def test_a_reason_where_the_policy_wants_one(store: Store) -> None:
    approval_id = waiting(store, needs=(need(), need("/b", reason_required=True)))
    with pytest.raises(AnswerError, match="needs a reason"):
        store.approvals.answer(approval_id, answer(reason=" "), NOW)
    assert store.approvals.answer(approval_id, answer(reason="because"), NOW).state is State.APPROVED


def test_what_is_not_pending_cannot_be_answered(store: Store) -> None:
    approval_id = approved(store)
    for expected in ("approved", "consumed"):
        with pytest.raises(StateError, match=f"is {expected}, so that it cannot be answered") as raised:
            store.approvals.answer(approval_id, answer("bob"), NOW)
        assert raised.value.state == expected
        store.approvals.ask([ask()], NOW)
    with pytest.raises(UnknownIdError, match="there is no approval `x`"):
        store.approvals.answer("x", answer(), NOW)


def test_a_use_is_given_back_once_and_by_itself_alone(store: Store) -> None:
    approval_id, first = approved(store), ask()
    store.approvals.ask([first], NOW)
    with pytest.raises(StateError, match="is used by another call, so that it cannot be restored"):
        store.approvals.restore(approval_id, new_id(), CALLER, NOW)
    restored = store.approvals.restore(approval_id, first.use_id, CALLER, NOW)
    assert (restored.state, restored.use_id, restored.until_us) == (State.APPROVED, None, NOW + HOUR)
    with pytest.raises(StateError, match="is approved, so that it cannot be restored"):
        store.approvals.restore(approval_id, first.use_id, CALLER, NOW)
    second = ask()
    assert store.approvals.ask([second], NOW) == [Used(approval_id)]
    # The first call's message comes late: what the second one used stays used.
    with pytest.raises(StateError, match="is used by another call"):
        store.approvals.restore(approval_id, first.use_id, CALLER, NOW)
    with pytest.raises(UnknownIdError):
        store.approvals.restore("x", first.use_id, CALLER, NOW)


def test_what_is_rolled_back_too_late_stays_consumed(store: Store) -> None:
    approval_id, use = approved(store), ask()
    store.approvals.ask([use], NOW)
    late = store.approvals.restore(approval_id, use.use_id, CALLER, NOW + HOUR)
    assert (late.state, late.cause) == (State.CONSUMED, "rolled back, not restored")
    assert isinstance(store.approvals.ask([ask()], NOW + HOUR)[0], Waiting)


def test_the_end_of_a_policy_ends_what_is_pending(store: Store) -> None:
    kept, used = approved(store, "a"), approved(store, "b")
    store.approvals.ask([ask("b")], NOW)
    denied = waiting(store, "c")
    store.approvals.answer(denied, answer("ann", Verdict.DENY), NOW)
    ended, other = waiting(store, "d"), waiting(store, "e", policy_digest="q")
    assert store.approvals.end_of_policy("p", CALLER, NOW) == 1
    states = [state(store, one) for one in (kept, used, denied, ended, other)]
    assert states == [State.APPROVED, State.CONSUMED, State.DENIED, State.ENDED, State.PENDING]
    assert store.approvals.get(ended, NOW).cause == "the policy is no longer in force"


def test_the_end_of_a_pin(store: Store) -> None:
    ended = [waiting(store, "a", pin_digest="old"), approved(store, "b", pin_digest="old")]
    kept = [waiting(store, "c", pin_digest="new"), waiting(store, "d"), waiting(store, "e", tool="u", pin_digest="old")]
    used, use = approved(store, "f", pin_digest="old"), ask("f", pin_digest="old")
    store.approvals.ask([use], NOW)
    assert store.approvals.end_of_pin("s", "t", "new", CALLER, NOW) == 2
    assert store.approvals.restore(used, use.use_id, CALLER, NOW).state is State.CONSUMED
    assert {state(store, one) for one in ended} == {State.ENDED}
    assert {state(store, one) for one in kept} == {State.PENDING}


def test_the_end_of_a_grant_is_for_good(store: Store) -> None:
    used, use = approved(store, "a"), ask("a")
    store.approvals.ask([use], NOW)
    ended = [waiting(store, "b"), approved(store, "c")]
    other = waiting(store, "d", grant="h")
    assert store.approvals.end_of_grant("g", CALLER, "revoked", NOW) == 2
    assert {state(store, one) for one in ended} == {State.ENDED}
    assert state(store, other) is State.PENDING
    # Also by a replica whose clock is behind.
    assert store.approvals.restore(used, use.use_id, CALLER, NOW - SECOND).state is State.CONSUMED


def test_a_use_while_a_grant_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    approval_id, use = approved(store), ask()
    write = store.database.write

    def use_after(*args: Any) -> Any:
        monkeypatch.undo()
        result = write(*args)
        store.approvals.ask([use], NOW)
        return result

    monkeypatch.setattr(store.database, "write", use_after)
    store.approvals.end_of_grant("g", CALLER, "revoked", NOW)
    with suppress(StateError):
        store.approvals.restore(approval_id, use.use_id, CALLER, NOW)
    assert state(store, approval_id) in {State.ENDED, State.CONSUMED}


def test_withdrawing(store: Store) -> None:
    for make in (waiting, approved):
        approval_id = make(store, make.__name__)
        assert store.approvals.withdraw(approval_id, CALLER, "no longer needed", NOW).state is State.ENDED
        with pytest.raises(StateError, match="is ended, so that it cannot be withdrawn"):
            store.approvals.withdraw(approval_id, CALLER, "", NOW)
    with pytest.raises(UnknownIdError):
        store.approvals.withdraw("x", CALLER, "", NOW)


def test_what_is_due_expires(store: Store) -> None:
    first, second = waiting(store, "a"), approved(store, "b", NOW + 1)
    assert store.approvals.expire_due(NOW + HOUR - 1) == 0
    assert store.approvals.expire_due(NOW + HOUR) == 1
    assert store.approvals.expire_due(NOW + HOUR + 1) == 1
    assert store.approvals.expire_due(NOW + DAY) == 0
    changed = store.approvals.get(first, NOW)
    assert (changed.state, changed.changed_us, changed.cause) == (State.EXPIRED, NOW + HOUR, "its time is over")
    assert state(store, second) is State.EXPIRED


def test_caps(store: Store) -> None:
    small = Store(store.database, per_grant=2, in_all=3)
    calls = [ask(name, grant=name[0]) for name in ("a1", "a2", "a3", "a1", "b1", "b2", "c1")]
    outcomes = small.approvals.ask(calls, NOW)
    made = [outcome.is_new if isinstance(outcome, Waiting) else outcome for outcome in outcomes]
    of_grant, in_all = AtCapacity(is_of_grant=True), AtCapacity(is_of_grant=False)
    assert made == [True, True, of_grant, False, True, in_all, in_all]
    assert small.approvals.ask([ask("a3", grant="a")], NOW) == [of_grant]
    # What is over does not count, nor does what has an answer.
    small.approvals.withdraw(calls[0].new_id, CALLER, "", NOW)
    assert isinstance(small.approvals.ask([ask("a3", grant="a")], NOW)[0], Waiting)
    assert isinstance(small.approvals.ask([ask("a4", grant="a")], NOW + HOUR)[0], Waiting)


def test_a_batch_is_decided_in_order(store: Store) -> None:
    approval_id = approved(store, "a")
    calls = [ask("a"), ask("b"), ask("a"), ask("b"), ask("a")]
    outcomes = store.approvals.ask(calls, NOW)
    assert outcomes[0] == Used(approval_id)
    ids = [outcome.approval_id for outcome in outcomes if isinstance(outcome, Waiting)]
    assert ids == [calls[1].new_id, calls[2].new_id, calls[1].new_id, calls[2].new_id]
    assert store.approvals.ask([], NOW) == []


def test_evidence_and_the_last_answers(store: Store) -> None:
    for number in range(12):
        approval_id = waiting(store, f"f{number}")
        store.approvals.answer(approval_id, answer(reason=f"r{number}"), NOW + number)
    waiting(store, "other", tool="u")
    call = ask("new", evidence_arguments='{"a":"***"}', evidence='{"risk":"high"}')
    store.approvals.ask([call], NOW)
    record = store.approvals.record(call.new_id)
    assert (record.arguments, record.document, record.answers) == ('{"a":"***"}', '{"risk":"high"}', ())
    assert [recent["reason"] for recent in record.recent] == [f"r{number}" for number in range(11, 1, -1)]
    with pytest.raises(UnknownIdError):
        store.approvals.record("x")


def test_what_is_old_is_forgotten(store: Store) -> None:
    first, second = waiting(store, "a"), approved(store, "b", NOW + DAY)
    store.approvals.expire_due(NOW + 2 * DAY)
    keep = {"keep_arguments_us": 30 * DAY, "keep_us": 730 * DAY}
    assert store.approvals.forget(NOW + 30 * DAY - 1, **keep) == (0, 0)
    assert store.approvals.forget(NOW + 30 * DAY, **keep) == (1, 0)
    assert [store.approvals.record(one).arguments for one in (first, second)] == [None, "{}"]
    assert store.approvals.forget(NOW + 730 * DAY, **keep) == (1, 1)
    with pytest.raises(UnknownIdError):
        store.approvals.record(first)
    assert len(store.approvals.record(second).answers) == 1


def test_what_is_live_is_not_forgotten(store: Store) -> None:
    pending = waiting(store, "a", needs=(need(timeout_us=DAY, permit=PermitBounds(1, DAY)),))
    now, forever = {"keep_arguments_us": 0, "keep_us": 0}, PermitOffer(new_id(), "{}", 1, DAY)
    assert store.approvals.forget(NOW + 1, **now) == (0, 0)
    assert store.approvals.record(pending).arguments == "{}"
    store.approvals.answer(pending, answer(permit=forever), NOW)
    assert store.approvals.forget(NOW + 1, **now) == (1, 0)
    assert store.permits.get(forever.permit_id, NOW).is_active
    store.permits.end(forever.permit_id, CALLER, "", NOW)
    assert store.approvals.forget(NOW + 1, **now) == (0, 1)


def test_pages(store: Store) -> None:
    calls = [ask(str(number), grant="g" if number % 2 else "h") for number in range(11)]
    for number, call in enumerate(calls):
        # Several at one time.
        store.approvals.ask([call], NOW + number // 3)
    for grant, size in [(None, 4), ("g", 2), ("h", 1), (None, 11), (None, 100)]:
        found: list[Approval] = []
        token = None
        while True:
            page = store.approvals.page(NOW, grant=grant, state=State.PENDING, size=size, token=token)
            assert len(page.items) <= size
            found += page.items
            if (token := page.next_token) is None:
                break
        assert len({one.id for one in found}) == len(found)
        assert {one.id for one in found} == {call.new_id for call in calls if grant in {None, call.call.grant}}
        assert [one.created_us for one in found] == sorted((one.created_us for one in found), reverse=True)
    assert store.approvals.page(NOW, state=State.DENIED).items == ()
    forged = (b"9" * 30 + b" a", str(2**63).encode() + b" a", b"1 a\0", b"-1 a", b"1 \xc3\xa4")
    for wrong in ("!", "eA", "a", "MTIz", *(base64.urlsafe_b64encode(one).decode() for one in forged)):
        with pytest.raises(PageTokenError):
            store.approvals.page(NOW, token=wrong)


@pytest.mark.parametrize("text", ["\0", "\ud800"])
def test_a_call_that_cannot_be_stored_fails_alone(store: Store, text: str) -> None:
    approval_id = approved(store)
    calls = [ask("a", evidence=text), ask(), ask("b", source=text), ask("c")]
    outcomes = store.approvals.ask(calls, NOW)
    assert [type(one) for one in outcomes] == [Failed, Used, Failed, Waiting]
    assert outcomes[1] == Used(approval_id)


def test_a_call_that_cannot_be_decided_fails_alone(store: Store) -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    permit = PermitOffer(new_id(), json.dumps({"a": {"exactly": deep}}), 1, HOUR)
    needs = (need(permit=PermitBounds(1, HOUR)),)
    store.approvals.answer(waiting(store, "a", needs=needs), answer(permit=permit), NOW)
    approval_id = approved(store, "b")
    repeated = ask("c")
    calls = [ask("b"), ask("d", arguments={"a": deep}), repeated, ask("e", grant="h", new_id=repeated.new_id)]
    outcomes = store.approvals.ask(calls, NOW)
    assert outcomes[0] == Used(approval_id)
    assert [type(one) for one in outcomes[1:]] == [Failed, Waiting, Failed]
    # Each call that was told something was told the truth.
    assert state(store, repeated.new_id) is State.PENDING


def test_changes_are_read_from_a_number_on(store: Store) -> None:
    first, second = waiting(store, "a"), waiting(store, "b")
    assert [one.id for one in store.approvals.since(0, NOW)] == [first, second]
    last = store.approvals.since(0, NOW)[-1].change
    assert store.approvals.since(last, NOW) == []
    store.approvals.answer(first, answer(), NOW)
    [changed] = store.approvals.since(last, NOW)
    assert (changed.id, changed.state) == (first, State.APPROVED)
    assert store.approvals.since(0, NOW, size=1)[0].id == second


def test_what_is_stored_is_read_again(store: Store) -> None:
    call = ask("f", need(approvers=("a",), count=3, reason_required=True), pin_digest="d", owner=Person(ISSUER, "o"))
    store.approvals.ask([call], NOW)
    stored = store.approvals.get(call.new_id, NOW)
    assert (stored.call, stored.needs, stored.created_us) == (call.call, call.needs, NOW)


def test_ids_by_their_beginnings(store: Store) -> None:
    first, second = waiting(store, "a"), waiting(store, "b")
    shared = first[: len(first) - 2]
    assert store.approvals.find(first) == [first]
    assert store.approvals.find(shared, size=1) == [min(first, second)]
    assert set(store.approvals.find(shared)) >= {first, second}
    assert [store.approvals.find(other) for other in ("zzzz", "", "%", "a%", "A", f"{first}a")] == [[]] * 6


def test_what_people_do_is_in_the_admin_audit(store: Store) -> None:
    approval_id = waiting(store, needs=(need(count=2),))
    store.approvals.answer(approval_id, answer("ann", reason="fine"), NOW)
    store.approvals.answer(approval_id, answer("bob", Verdict.DENY, reason="no"), NOW + 1)
    store.approvals.withdraw(approval_id, CALLER, "again", NOW + 2)
    with pytest.raises(StateError):
        store.approvals.withdraw(approval_id, CALLER, "again", NOW + 3)
    records = store.audit.page(kind="approvals", object_id=approval_id)[::-1]
    assert [(one.at_us, one.change.action, one.change.by.name, one.change.reason) for one in records] == [
        (NOW, "approve", f"ann ({ISSUER})", "fine"),
        (NOW + 1, "deny", f"bob ({ISSUER})", "no"),
        (NOW + 2, "withdraw", CALLER.name, "again"),
    ]
    digests = [(one.change.digest_before, one.change.digest_after) for one in records]
    assert len({digest for pair in digests for digest in pair}) == 4
    assert [after for _, after in digests[:2]] == [before for before, _ in digests[1:]]
