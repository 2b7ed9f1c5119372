"""People and machines' tokens, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from callgate.store.changes import Kind
from callgate.store.errors import ConflictError, StateError, UnknownIdError
from callgate.store.model import Actor, Person
from callgate.store.people import LocalPerson, PersonEdit, Role
from callgate.store.store import Store
from callgate.store.tokens import LONGEST_US, NewToken, Scope
from support.approvals import DAY, NOW, new_id

ADMIN = Actor("root (local)", "terminal")
HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"


def edit(name: str = "ann", *roles: Role, **more: Any) -> PersonEdit:
    return PersonEdit(name, frozenset(roles or {Role.APPROVER}), **{"password_hash": HASH, **more})


def put(store: Store, *arguments: Any, now_us: int = NOW, **more: Any) -> LocalPerson:
    return store.people.put(edit(*arguments, **more), ADMIN, "why", now_us)


def test_a_person_from_first_to_last(store: Store) -> None:
    assert store.people.is_empty()
    before = store.last_changes()
    made = put(store, "ann", Role.APPROVER, Role.VIEWER, groups=frozenset({"dba", "ops"}), expected=0)
    assert made == store.people.get("ann")
    assert (set(made.roles), set(made.groups), made.is_active) == ({Role.APPROVER, Role.VIEWER}, {"dba", "ops"}, True)
    assert (made.made_us, made.changed_us, made.password_us) == (NOW, NOW, NOW)
    assert made.person == Person("local", "ann")
    assert not store.people.is_empty()
    changed = put(store, "ann", Role.ADMIN, password_hash=None, expected=made.change, now_us=NOW + 5)
    assert (set(changed.roles), set(changed.groups)) == ({Role.ADMIN}, set())
    assert (changed.changed_us, changed.password_us) == (NOW + 5, NOW)
    assert store.people.password_hash("ann") == (changed, HASH)
    assert changed.change > made.change
    put(store, "Bob")
    assert [person.name for person in store.people.list()] == sorted(["ann", "Bob"])
    store.people.remove("ann", ADMIN, "left", NOW + 6)
    with pytest.raises(UnknownIdError, match="there is no person `ann`"):
        store.people.get("ann")
    assert store.people.password_hash("ann") is None
    assert before[Kind.PEOPLE] < store.last_changes()[Kind.PEOPLE]
    # A later person of the same name is somebody else to an editor.
    assert put(store, "ann").change not in {made.change, changed.change}


def test_every_change_of_a_person_is_recorded(store: Store) -> None:
    put(store)
    put(store, password_hash=HASH + "2")
    store.people.remove("ann", ADMIN, "left", NOW)
    first, second, third = [one.change for one in store.audit.page(kind="people", object_id="ann")][::-1]
    assert [(one.by, one.action, one.reason) for one in (first, second, third)] == [
        (ADMIN, "create", "why"),
        (ADMIN, "change", "why"),
        (ADMIN, "delete", "left"),
    ]
    assert first.digest_before is None
    assert first.digest_after == second.digest_before != second.digest_after == third.digest_before
    assert third.digest_after is None


def test_two_who_change_one_person(store: Store) -> None:
    made = put(store)
    put(store)
    with pytest.raises(ConflictError, match="somebody else has changed the person `ann` meanwhile"):
        put(store, expected=made.change)
    with pytest.raises(ConflictError, match="there is a person `ann` already"):
        put(store, expected=0)
    with pytest.raises(ConflictError):
        store.people.remove("ann", ADMIN, "", NOW, expected=made.change)
    with pytest.raises(UnknownIdError):
        put(store, "bob", expected=made.change)
    with pytest.raises(UnknownIdError):
        store.people.remove("bob", ADMIN, "", NOW)
    assert len(store.audit.page(kind="people")) == 2


def test_names_that_could_be_taken_for_one_another(store: Store) -> None:
    put(store, "ann")
    with pytest.raises(ConflictError, match="there is a person `ann` already, and `Ann` differs from it only by its"):
        put(store, "Ann")


def test_a_new_person_has_a_password(store: Store) -> None:
    with pytest.raises(ValueError, match="the new person `ann` needs a password"):
        put(store, password_hash=None)
    assert store.people.is_empty()


@pytest.mark.parametrize("name", ["", "a b", "-a", ".a", "a\n", "a\u202eb", "ä", "a" * 65, "a(local)", "a/b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="expected a name of 1 to 64 letters"):
        edit(name)


def test_groups_and_roles_that_are_none() -> None:
    for group in ("", "a\nb", "g" * 129):
        with pytest.raises(ValueError, match="expected at most 100 groups"):
            edit(groups=frozenset({group}))
    with pytest.raises(ValueError, match="expected at least one role of viewer, approver, policy_manager, admin"):
        PersonEdit("ann", frozenset(), password_hash=HASH)


def test_a_password_hash_is_in_no_repr(store: Store) -> None:
    assert HASH not in f"{edit()!r} {put(store)!r}"


def token(**more: Any) -> NewToken:
    fields = {"id": new_id(), "name": "ci", "hash": new_id(), "roles": frozenset({Role.VIEWER}), "scopes": None}
    return NewToken(**{**fields, "expires_us": NOW + DAY, **more})


def test_a_token_from_first_to_last(store: Store) -> None:
    new = token(scopes=frozenset({Scope.STATUS, Scope.DECISIONS}))
    made = store.tokens.create(new, ADMIN, "why", NOW)
    assert (made.id, made.name, made.roles, made.scopes) == (new.id, "ci", new.roles, new.scopes)
    assert (made.made_us, made.made_by, made.expires_us, made.revoked_us, made.used_us) == (
        *(NOW, ADMIN, NOW + DAY),
        *(None, None),
    )
    assert made == store.tokens.find(new.hash) == store.tokens.get(new.id)
    assert (made.is_valid(NOW + DAY - 1), made.is_valid(NOW + DAY)) == (True, False)
    store.tokens.mark_used(new.id, NOW + 9)
    store.tokens.mark_used(new.id, NOW + 8)
    assert store.tokens.get(new.id).used_us == NOW + 9
    revoked = store.tokens.revoke(new.id, ADMIN, "lost", NOW + 10)
    assert (revoked.revoked_us, revoked.is_valid(NOW + 10)) == (NOW + 10, False)
    with pytest.raises(StateError, match="is revoked, so that it cannot be revoked again"):
        store.tokens.revoke(new.id, ADMIN, "", NOW + 11)
    created, ended = [one.change for one in store.audit.page(kind="tokens", object_id=new.id)][::-1]
    assert (created.action, created.reason, ended.action, ended.reason) == ("create", "why", "revoke", "lost")
    assert (created.digest_before, created.digest_after) == (None, ended.digest_before)
    assert new.hash not in f"{new!r} {made!r} {created!r}"


def test_tokens_that_nobody_knows(store: Store) -> None:
    assert store.tokens.find("hash") is None
    with pytest.raises(UnknownIdError, match="there is no token `x`"):
        store.tokens.revoke("x", ADMIN, "", NOW)
    with pytest.raises(UnknownIdError, match="there is no token `x`"):
        store.tokens.get("x")
    store.tokens.mark_used("x", NOW)


def test_a_list_of_tokens(store: Store) -> None:
    made = [store.tokens.create(token(), ADMIN, "", NOW + number) for number in range(5)]
    page = store.tokens.page(size=3)
    rest = store.tokens.page(size=3, token=page.next_token)
    assert [*page.items, *rest.items] == made[::-1]
    assert {one.scopes for one in made} == {None}


@pytest.mark.parametrize("end", [NOW, NOW - 1, NOW + LONGEST_US + 1])
def test_a_token_ends_within_a_year(store: Store, end: int) -> None:
    with pytest.raises(ValueError, match="expected an end within a year"):
        store.tokens.create(token(expires_us=end), ADMIN, "", NOW)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"roles": frozenset({Role.APPROVER})}, "approvals are answered by people, never by a machine"),
        ({"roles": frozenset({Role.ADMIN, Role.APPROVER})}, "never by a machine"),
        ({"roles": frozenset()}, "expected at least one role of viewer, policy_manager, admin"),
        ({"scopes": frozenset()}, "expected at least one scope"),
        ({"name": ""}, "expected a name"),
        ({"name": "a\nb"}, "expected a name"),
    ],
)
def test_what_no_machine_may_have(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        token(**fields)
