"""Answers to approvals: the people that each rule asks, owners and reasons, on both databases."""

from __future__ import annotations

import pytest

from callgate.store.errors import AnswerError, StateError, UnknownIdError
from callgate.store.model import (
    Approval,
    PermitBounds,
    PermitOffer,
    Person,
    State,
    Verdict,
    Waiting,
)
from callgate.store.store import Store
from support.approvals import (
    CALLER,
    DAY,
    HOUR,
    ISSUER,
    NOW,
    answer,
    approved,
    ask,
    need,
    new_id,
    state,
    waiting,
)


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


def test_an_id_of_the_other_kind(store: Store) -> None:
    """Decisions name an approval or a permit in one field."""
    approval_id, offer = waiting(store, needs=[need(permit=PermitBounds(5, DAY))]), PermitOffer("p" * 26, "{}", 1, HOUR)
    store.approvals.answer(approval_id, answer(permit=offer), NOW)
    told = f"`{offer.permit_id}` is a permit; see `callgate permits show {offer.permit_id}`"
    for look in (
        lambda: store.approvals.get(offer.permit_id, NOW),
        lambda: store.approvals.record(offer.permit_id),
        lambda: store.approvals.withdraw(offer.permit_id, CALLER, "", NOW),
    ):
        with pytest.raises(UnknownIdError) as raised:
            look()
        assert str(raised.value) == told
    with pytest.raises(UnknownIdError) as raised:
        store.permits.get(approval_id, NOW)
    assert str(raised.value) == f"`{approval_id}` is an approval; see `callgate approvals show {approval_id}`"
