"""Records of approvals: evidence, pages, changes, ids and the admin audit, on both databases."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from callgate.store.errors import StateError, UnknownIdError
from callgate.store.model import (
    Approval,
    Person,
    State,
    Verdict,
)
from callgate.store.pages import PageTokenError
from callgate.store.store import Store
from support.approvals import (
    CALLER,
    ISSUER,
    NOW,
    answer,
    ask,
    need,
    waiting,
)


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
    owner = Person(ISSUER, "o")
    call = ask("f", need(approvers=("a",), count=3, reason_required=True), pin_digest="d", owner=owner)
    store.approvals.ask([call], NOW)
    stored = store.approvals.get(call.new_id, NOW)
    assert (stored.call, stored.needs, stored.created_us) == (replace(call.call, owner=owner), call.needs, NOW)


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
