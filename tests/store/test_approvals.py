"""The use of approvals: calls that ask, wait and are admitted or denied, on both databases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from callgate.store.errors import ReasonError, StateError, UnknownIdError, UnreadableError
from callgate.store.model import (
    AtCapacity,
    Denied,
    Evidence,
    Failed,
    Outcome,
    PermitBounds,
    PermitOffer,
    State,
    Used,
    Verdict,
    Waiting,
)
from callgate.store.store import Store
from support.approvals import (
    CALLER,
    HOUR,
    ISSUER,
    NOW,
    RULE,
    SECOND,
    answer,
    approved,
    ask,
    need,
    new_id,
    state,
    waiting,
)

AT_MAX = "/tools/t/limits/spend"


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


@pytest.mark.parametrize("verdict", Verdict)
def test_a_reason_is_one_line_without_what_nobody_sees(store: Store, verdict: Verdict) -> None:
    """The agent is told it, and prints it in a terminal."""
    approval_id = waiting(store)
    reason = "not\u202e now\r\n\tnor\u2028 \u2066later\u2069\u200b, \x1b[31mM\u00fcller\u3164\U000e0041 "
    decided = store.approvals.answer(approval_id, answer("ann", verdict, reason=reason), NOW)
    assert decided.cause == "not now nor later, [31mM\u00fcller"
    assert store.approvals.record(approval_id).answers[0].reason == decided.cause
    if verdict is Verdict.DENY:
        [outcome] = store.approvals.ask([ask()], NOW)
        assert isinstance(outcome, Denied)
        assert outcome.reason == decided.cause


def test_a_reason_that_nobody_sees_is_none(store: Store) -> None:
    approval_id = waiting(store, needs=[need(reason_required=True)])
    with pytest.raises(ReasonError):
        store.approvals.answer(approval_id, answer("ann", reason="\u200b \u2060"), NOW)


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


@pytest.mark.parametrize("text", ["\0", "\ud800"])
def test_a_call_that_cannot_be_stored_fails_alone(store: Store, text: str) -> None:
    approval_id = approved(store)
    calls = [ask("a", evidence=text), ask(), ask("b", source=text), ask("c")]
    outcomes = store.approvals.ask(calls, NOW)
    assert [type(one) for one in outcomes] == [Failed, Used, Failed, Waiting]
    assert outcomes[1] == Used(approval_id)


class _Unreadable:
    """The contents of a call that cannot be read."""

    def arguments(self) -> Mapping[str, object]:
        raise UnreadableError("no arguments")

    def evidence(self) -> Evidence:
        raise UnreadableError("no evidence")


def test_a_call_that_cannot_be_read_fails_alone_and_a_use_reads_nothing(store: Store) -> None:
    approval_id = approved(store)
    calls = [ask("a", contents=_Unreadable()), ask(contents=_Unreadable()), ask("b")]
    outcomes = store.approvals.ask(calls, NOW)
    assert outcomes[:2] == [Failed("no evidence"), Used(approval_id)]
    assert isinstance(outcomes[2], Waiting)


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
