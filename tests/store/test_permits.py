"""Permits: made by approvers within bounds, used by calls within terms, and ended."""

from __future__ import annotations

from typing import Any

import pytest

from callgate.exact_json import read_json
from callgate.store.errors import AnswerError, StateError, UnknownIdError
from callgate.store.model import (
    Approval,
    Ask,
    Denied,
    Outcome,
    PermitBounds,
    PermitOffer,
    Permitted,
    Person,
    State,
    Verdict,
    Waiting,
)
from callgate.store.store import Store
from callgate.store.terms import covers, is_equal, read_terms
from support.approvals import CALLER, HOUR, ISSUER, NOW, RULE, SECOND, answer, ask, need, new_id

BOUNDS = PermitBounds(max_uses=5, max_duration_us=HOUR)
TERMS = '{"region": {"exactly": "eu"}, "count": {"at_most": [0, 5]}}'


def offer(terms: str = TERMS, uses: int = 3, duration_us: int = HOUR) -> PermitOffer:
    return PermitOffer(new_id(), terms, uses, duration_us)


def call(fingerprint: str = "f", count: object = 3, **more: Any) -> Ask:
    fields = {"arguments": {"region": "eu", "count": count}, **more}
    needs = fields.pop("needs", (need(permit=BOUNDS),))
    return ask(fingerprint, *needs, **fields)


def permit(store: Store, made: PermitOffer | None = None, **more: Any) -> str:
    """The id of a permit."""
    first, made = call("first", **more), made or offer()
    store.approvals.ask([first], NOW)
    assert store.approvals.answer(first.new_id, answer(permit=made), NOW).state is State.CONSUMED
    return made.permit_id


def one(store: Store, asked: Ask, at: int = NOW) -> Outcome:
    [outcome] = store.approvals.ask([asked], at)
    return outcome


def test_a_changed_entry_ends_a_permit_for_good(store: Store) -> None:
    permit_id, untouched = permit(store), permit(store, tool="other")
    changed = call("a", needs=(need(entry_digest="changed"),))
    # Before it, in one batch, a call that was weighed by the rules of before.
    outcomes = store.approvals.ask([call("first"), changed, call("b")], NOW)
    assert outcomes[0] == Permitted(permit_id)
    assert [type(outcome) for outcome in outcomes[1:]] == [Waiting, Waiting]
    stored = store.permits.get(permit_id, NOW)
    assert (stored.is_active, stored.uses_left, stored.cause) == (False, 2, "the rules of its entry have changed")
    assert isinstance(one(store, call("c")), Waiting)
    assert store.permits.get(untouched, NOW).is_active


def test_a_permit_admits_as_many_calls_as_it_says(store: Store) -> None:
    permit_id = permit(store)
    # The call that waited comes again, and is the first use.
    assert one(store, call("first")) == Permitted(permit_id)
    outcomes = store.approvals.ask([call("a"), call("b", 5), call("c", 0)], NOW)
    assert outcomes[:2] == [Permitted(permit_id)] * 2
    assert isinstance(outcomes[2], Waiting)
    stored = store.permits.get(permit_id, NOW)
    assert (stored.uses_left, stored.max_uses, stored.is_active) == (0, 3, True)
    assert stored.made_by == (Person(ISSUER, "ann"),)
    approval = store.approvals.get(stored.approval_id, NOW)
    assert (approval.state, approval.cause) == (State.CONSUMED, "made into a permit")
    with pytest.raises(StateError):
        store.approvals.restore(stored.approval_id, new_id(), CALLER, NOW)


@pytest.mark.parametrize(
    "other",
    [
        call("o", 6),
        call("o", -1),
        call("o", "3"),
        call("o", arguments={"region": "us", "count": 1}),
        call("o", arguments={"count": 1}),
        call("o", arguments={"region": "eu", "count": 1, "force": True}),
        call("o", grant="h"),
        call("o", server="r"),
        call("o", tool="u"),
        call("o", pin_digest="other"),
        call("o", needs=(need("/other", permit=BOUNDS),)),
        call("o", needs=(need(permit=BOUNDS), need("/other"))),
        call("o", needs=(need(entry_digest="changed"),)),
    ],
)
def test_a_call_outside_of_the_permit_waits(store: Store, other: Ask) -> None:
    permit_id = permit(store)
    assert isinstance(one(store, other), Waiting)
    assert store.permits.get(permit_id, NOW).uses_left == 3


def test_an_approval_and_a_denial_come_before_a_permit(store: Store) -> None:
    permit_id = permit(store, offer(TERMS.replace("5", "9")))
    denied = call("denied", 10)
    store.approvals.ask([denied], NOW)
    store.approvals.answer(denied.new_id, answer("bob", Verdict.DENY, reason="no"), NOW)
    assert isinstance(one(store, call("denied", 3)), Denied)
    assert store.permits.get(permit_id, NOW).uses_left == 3


def test_the_permit_that_ends_first_is_used(store: Store) -> None:
    late = permit(store, offer(uses=1))
    first = call("x", 10)
    store.approvals.ask([first], NOW)
    early = offer(uses=1, duration_us=HOUR - 1)
    store.approvals.answer(first.new_id, answer(permit=early), NOW)
    assert [one(store, call(name)) for name in "ab"] == [Permitted(early.permit_id), Permitted(late)]


def test_a_use_is_given_back_once(store: Store) -> None:
    permit_id, use = permit(store, offer(uses=1)), call("a")
    assert one(store, use) == Permitted(permit_id)
    assert isinstance(one(store, call("b")), Waiting)
    assert store.permits.give_back(use.use_id, NOW)
    assert not store.permits.give_back(use.use_id, NOW)
    assert one(store, call("c")) == Permitted(permit_id)
    with pytest.raises(UnknownIdError):
        store.permits.give_back("x", NOW)
    assert store.permits.get(permit_id, NOW).uses_left == 0


def test_a_permit_ends_with_its_time(store: Store) -> None:
    permit_id, use = permit(store), call("a")
    assert one(store, use, NOW + HOUR - 1) == Permitted(permit_id)
    assert isinstance(one(store, call("b"), NOW + HOUR), Waiting)
    assert not store.permits.get(permit_id, NOW + HOUR).is_active
    assert not store.permits.give_back(use.use_id, NOW + HOUR)
    assert (store.permits.expire_due(NOW + HOUR - 1), store.permits.expire_due(NOW + HOUR)) == (0, 1)


def test_permits_are_ended(store: Store) -> None:
    by_hand = permit(store)
    ended = store.permits.end(by_hand, CALLER, "not needed", NOW)
    assert (ended.is_active, ended.cause) == (False, "not needed")
    with pytest.raises(StateError, match="is ended, so that it cannot be ended"):
        store.permits.end(by_hand, CALLER, "", NOW)
    with pytest.raises(UnknownIdError):
        store.permits.end("x", CALLER, "", NOW)
    assert isinstance(one(store, call("a")), Waiting)
    of_grant = permit(store, grant="h")
    assert store.permits.end_of_grant("h", CALLER, "revoked", NOW) == 1
    of_pin = permit(store, grant="i", pin_digest="old")
    assert store.permits.end_of_pin("s", "t", "new", CALLER, NOW) == 0
    assert store.permits.end_of_pin("s", "t", "old", CALLER, NOW) == 1
    assert not any(permit.is_active for permit in store.permits.page(NOW).items)
    assert {permit.id for permit in store.permits.since(0, NOW)} == {by_hand, of_grant, of_pin}
    assert [permit.id for permit in store.permits.page(NOW, grant="h").items] == [of_grant]


def test_people_must_agree_to_the_same_terms(store: Store) -> None:
    asked = call("f", needs=(need(count=2, permit=BOUNDS),))
    store.approvals.ask([asked], NOW)

    def give(name: str, made: PermitOffer | None) -> Approval:
        return store.approvals.answer(asked.new_id, answer(name, permit=made), NOW)

    assert give("ann", offer()).state is State.PENDING
    # Other terms, and an answer about this call alone, start anew.
    assert give("bob", offer(uses=2)).state is State.PENDING
    assert give("cat", None).state is State.PENDING
    assert give("ann", offer()).state is State.PENDING
    made = offer(TERMS.replace('"count": {"at_most": [0, 5]}', '"count":{"at_most":[0.0,5]}'))
    assert give("bob", made).state is State.CONSUMED
    assert store.permits.get(made.permit_id, NOW).made_by == (Person(ISSUER, "ann"), Person(ISSUER, "bob"))
    assert store.permits.page(NOW).items[0].id == made.permit_id


@pytest.mark.parametrize(
    ("needs", "made", "expected"),
    [
        ((need(),), offer(), f"the rule `{RULE}` lets nobody make a permit"),
        ((need(permit=BOUNDS), need("/b")), offer(), "the rule `/b` lets nobody make a permit"),
        ((need(permit=BOUNDS),), offer(uses=6), "a permit of 1 to 5 uses, got 6"),
        ((need(permit=BOUNDS),), offer(uses=0), "a permit of 1 to 5 uses, got 0"),
        ((need(permit=BOUNDS),), offer(duration_us=HOUR + 1), "a permit of at most 3600 s"),
        ((need(permit=BOUNDS),), offer('{"a": {"below": 3}}'), "the term for the argument `a` is none"),
        ((need(permit=BOUNDS),), offer('{"a": {"at_most": [1]}}'), "the term for the argument `a` is none"),
        ((need(permit=BOUNDS),), offer("[]"), "expected the terms of a permit"),
        ((need(permit=BOUNDS),), offer("{"), "expected the terms of a permit"),
        ((need(permit=BOUNDS),), offer('{"a": {"any": true}, "a": {"exactly": 1}}'), "expected the terms of a permit"),
        ((need(permit=BOUNDS),), offer('{"a": {"at_most": [0, Infinity]}}'), "expected the terms of a permit"),
    ],
)
def test_permits_beyond_the_bounds(store: Store, needs: Any, made: PermitOffer, expected: str) -> None:
    asked = call(needs=needs)
    store.approvals.ask([asked], NOW)
    with pytest.raises(AnswerError, match=expected):
        store.approvals.answer(asked.new_id, answer(permit=made), NOW)
    with pytest.raises(AnswerError, match="a denial makes no permit"):
        store.approvals.answer(asked.new_id, answer("ann", Verdict.DENY, permit=made), NOW)
    assert store.approvals.get(asked.new_id, NOW + SECOND).state is State.PENDING


@pytest.mark.parametrize(
    ("terms", "arguments", "expected"),
    [
        ("{}", "{}", True),
        ("{}", '{"a": null}', False),
        ('{"a": {"exactly": null}}', "{}", False),
        ('{"a": {"exactly": null}}', '{"a": null}', True),
        ('{"a": {"any": true}}', "{}", True),
        ('{"a": {"any": true}}', '{"a": [1]}', True),
        ('{"a": {"exactly": 1}}', '{"a": 1.0}', True),
        ('{"a": {"exactly": 1}}', '{"a": true}', False),
        ('{"a": {"exactly": 9007199254740993}}', '{"a": 9007199254740992}', False),
        ('{"a": {"exactly": {"b": [1, "x"]}}}', '{"a": {"b": [1e0, "x"]}}', True),
        ('{"a": {"exactly": {"b": [1]}}}', '{"a": {"b": [true]}}', False),
        ('{"a": {"exactly": [1, 2]}}', '{"a": [1]}', False),
        ('{"a": {"one_of": ["x", 2]}}', '{"a": 2.00}', True),
        ('{"a": {"one_of": ["x", 2]}}', '{"a": "2"}', False),
        ('{"a": {"at_most": [-1, 0.3]}}', '{"a": 0.3}', True),
        ('{"a": {"at_most": [-1, 0.3]}}', '{"a": 0.30000000000000000001}', False),
        ('{"a": {"at_most": [-1, 0.3]}}', '{"a": -2}', False),
        ('{"a": {"at_most": [0, 1]}}', '{"a": true}', False),
        ('{"a": {"at_most": [0, 1]}}', '{"a": 1e400}', False),
    ],
)
def test_terms(terms: str, arguments: str, expected: bool) -> None:
    assert covers(read_terms(terms), read_json(arguments)) is expected


def test_texts_are_no_numbers() -> None:
    assert not is_equal("1", 1)
    assert not is_equal(None, False)


def test_a_number_beyond_every_exponent_is_no_term() -> None:
    with pytest.raises(AnswerError):
        read_terms('{"a": {"exactly": 1e9999999999999999999}}')


def test_what_people_do_with_permits_is_in_the_admin_audit(store: Store) -> None:
    permit_id = permit(store)
    ended = store.permits.end(permit_id, CALLER, "enough", NOW + 1)
    records = [one.change for one in store.audit.page(kind="permits", object_id=permit_id)[::-1]]
    assert [(one.action, one.by.name, one.reason) for one in records] == [
        ("create", f"ann ({ISSUER})", f"made from the approval {ended.approval_id}"),
        ("end", CALLER.name, "enough"),
    ]
    assert records[0].digest_before is None
    assert records[0].digest_after == records[1].digest_before != records[1].digest_after
    assert store.permits.find(permit_id[:25]) == [permit_id]


def test_permits_that_have_not_ended(store: Store) -> None:
    first, second = permit(store), permit(store, grant="h")
    store.permits.end(first, CALLER, "enough", NOW)
    assert [one.id for one in store.permits.page(NOW, active=True).items] == [second]
    assert [one.id for one in store.permits.page(NOW, grant="g").items] == [first]
    assert store.permits.page(NOW, grant="g", active=True).items == ()
