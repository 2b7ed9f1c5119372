"""People who are changed while their answers wait for others, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callgate.approvals.shown import approval_sections
from callgate.store.approvals.answer import Answer
from callgate.store.changes import Kind
from callgate.store.errors import AnswerError
from callgate.store.model import Actor, Approval, Need, State, Verdict, Waiting
from callgate.store.people import PersonEdit, Role, local_person
from callgate.store.store import Store
from support.approvals import CALLER, HOUR, NOW, ask, need
from support.approvals import answer as foreign

ADMIN = Actor("root (local)", "terminal")
HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"

Edit = Callable[[Store], object]


def put(store: Store, name: str, *groups: str, role: Role = Role.APPROVER, **more: Any) -> None:
    edit = PersonEdit(name, frozenset({role}), frozenset(groups), **{"password_hash": HASH, **more})
    store.people.put(edit, ADMIN, "", NOW)


def remove(store: Store, name: str) -> None:
    store.people.remove(name, ADMIN, "", NOW)


def off_and_on(store: Store) -> None:
    for is_active in (False, True):
        put(store, "eve", "dba", is_active=is_active)


def give(store: Store, approval_id: str, name: str, *groups: str, verdict: Verdict = Verdict.APPROVE) -> Approval:
    given = Answer(local_person(name), frozenset(groups), verdict, "page")
    return store.approvals.answer(approval_id, given, NOW)


def waiting(store: Store, *needs: Need) -> str:
    [outcome] = store.approvals.ask([ask("f", *needs)], NOW)
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def needed(store: Store, approval_id: str) -> list[str]:
    """The numbers of answers that people are shown."""
    sections = approval_sections(store.approvals.get(approval_id, NOW), store.approvals.record(approval_id), NOW)
    [section] = [one for one in sections if one.title == "needed"]
    return [field.text.partition(" from")[0] for field in section.fields]


@pytest.fixture
def two(store: Store) -> str:
    """An approval that needs two people of `dba`, of whom one has answered."""
    for name in ("ann", "bob", "eve"):
        put(store, name, "dba")
    approval_id = waiting(store, need(approvers=("dba",), count=2))
    assert give(store, approval_id, "eve", "dba").state is State.PENDING
    return approval_id


@pytest.mark.parametrize(
    "edit",
    [
        lambda store: put(store, "eve", "dba", is_active=False),
        lambda store: put(store, "eve", "dba", role=Role.VIEWER),
        lambda store: put(store, "eve", "ops"),
        lambda store: remove(store, "eve"),
        # A stolen account that its person has again: nobody knows who answered.
        lambda store: put(store, "eve", "dba", password_hash=HASH + "2"),
        off_and_on,
        lambda store: [edit(store, "eve") for edit in (remove, put)],
    ],
)
def test_an_answer_ends_with_a_change_of_its_person(store: Store, two: str, edit: Edit) -> None:
    assert needed(store, two) == ["1 of 2"]
    edit(store)
    assert needed(store, two) == ["0 of 2"]
    assert give(store, two, "ann", "dba").state is State.PENDING
    assert needed(store, two) == ["1 of 2"]
    assert give(store, two, "bob", "dba").state is State.APPROVED


def test_changes_of_others_leave_an_answer(store: Store, two: str) -> None:
    put(store, "ann", "dba", password_hash=HASH + "2")
    remove(store, "bob")
    assert give(store, two, "ann", "dba").state is State.APPROVED


def test_a_changed_person_answers_again(store: Store, two: str) -> None:
    put(store, "eve", "dba", password_hash=HASH + "2")
    assert give(store, two, "eve", "dba").state is State.PENDING
    assert give(store, two, "ann", "dba").state is State.APPROVED


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda store: put(store, "ann", "dba", is_active=False), "`ann` may not answer any more"),
        (lambda store: put(store, "ann", "dba", role=Role.VIEWER), "`ann` may not answer any more"),
        (lambda store: remove(store, "ann"), "`ann` may not answer any more"),
        (lambda store: put(store, "ann", "ops"), "this approval asks people of other groups: `dba`"),
    ],
)
def test_a_person_who_was_changed_after_the_request_began(
    store: Store, two: str, edit: Edit, message: str, verdict: Verdict
) -> None:
    edit(store)
    with pytest.raises(AnswerError, match=message):
        give(store, two, "ann", "dba", verdict=verdict)
    assert needed(store, two) == ["1 of 2"]
    assert give(store, two, "bob", "dba").state is State.APPROVED


def test_the_first_person_ends_the_answers_of_the_operating_systems_users(store: Store) -> None:
    approval_id = waiting(store, need(count=2))
    give(store, approval_id, "root")
    put(store, "ann")
    assert needed(store, approval_id) == ["0 of 2"]
    assert give(store, approval_id, "ann").state is State.PENDING
    with pytest.raises(AnswerError, match="`root` may not answer any more"):
        give(store, approval_id, "root")


def test_nobody_s_groups_count_in_a_store_without_people(store: Store) -> None:
    approval_id = waiting(store, need(approvers=("dba",)))
    with pytest.raises(AnswerError, match="other groups"):
        give(store, approval_id, "root", "dba")


def test_people_of_other_issuers_are_unknown_to_the_store(store: Store) -> None:
    approval_id = waiting(store, need(count=2))
    store.approvals.answer(approval_id, foreign("eve"), NOW)
    put(store, "eve")
    assert needed(store, approval_id) == ["1 of 2"]
    assert give(store, approval_id, "eve").state is State.APPROVED


def test_the_first_rule_that_waits_is_known_again(store: Store) -> None:
    put(store, "eve", "dba")
    approval_id = waiting(store, need("/a", approvers=("dba",)), need("/b", approvers=("ops",)))
    assert give(store, approval_id, "eve", "dba").open_rule == "/b"
    before = store.last_changes()[Kind.APPROVALS]
    put(store, "eve", "dba", is_active=False)
    now = store.approvals.get(approval_id, NOW)
    assert (now.state, now.open_rule, now.changed_by) == (State.PENDING, "/a", "root (local)")
    assert now.cause == "the answer of `eve` counts no longer: the person was changed"
    # Others who watch are told.
    assert [one.id for one in store.approvals.since(before, NOW)] == [approval_id]
    newest = store.audit.page(kind="approvals", object_id=approval_id)[0].change
    assert (newest.by, newest.action) == (ADMIN, "void")


def test_what_was_decided_stays(store: Store, two: str) -> None:
    assert give(store, two, "ann", "dba").state is State.APPROVED
    put(store, "eve", "dba", is_active=False)
    approved = store.approvals.get(two, NOW)
    assert approved.state is State.APPROVED
    assert [given.is_current for given in store.approvals.record(two).answers] == [True, True]
    assert store.approvals.withdraw(two, CALLER, "", NOW + HOUR // 2).state is State.ENDED
