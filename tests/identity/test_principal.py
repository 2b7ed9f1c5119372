"""The rights of people and machines."""

from __future__ import annotations

import pytest

from callgate.identity.errors import IdentityError
from callgate.identity.local import local_principal
from callgate.identity.principal import Principal, local_admin
from callgate.os_user import os_user
from callgate.store.model import Actor, Person
from callgate.store.people import PersonEdit, Role
from callgate.store.store import Store
from callgate.store.tokens import Scope
from support.approvals import NOW

ANN = Person("local", "ann")
BY = Actor("root (local)", "terminal")
MAY = {
    Role.VIEWER: {Role.VIEWER},
    Role.APPROVER: {Role.VIEWER, Role.APPROVER},
    Role.POLICY_MANAGER: {Role.VIEWER, Role.POLICY_MANAGER},
    Role.ADMIN: set(Role),
}


@pytest.mark.parametrize("role", Role)
def test_what_each_role_may(role: Role) -> None:
    person = Principal("ann (local)", ANN, frozenset({role}))
    machine = Principal("ci (token)", None, frozenset({role}))
    assert {asked for asked in Role if person.may(asked)} == MAY[role]
    assert {asked for asked in Role if machine.may(asked)} == MAY[role]
    assert person.may_answer() is (role in {Role.APPROVER, Role.ADMIN})
    assert not machine.may_answer()
    assert person.actor("web") == Actor("ann (local)", "web")


def test_without_a_role() -> None:
    nobody = Principal("ann (local)", ANN, frozenset())
    assert not any(nobody.may(role) for role in Role)


def test_the_areas_of_a_machine() -> None:
    person = Principal("ann (local)", ANN, frozenset({Role.VIEWER}))
    free = Principal("ci (token)", None, frozenset({Role.ADMIN}))
    limited = Principal("ci (token)", None, frozenset({Role.ADMIN}), scopes=frozenset({Scope.STATUS}))
    areas = [*Scope, "people", "tokens"]
    assert [area for area in areas if person.may_use(area)] == areas
    assert [area for area in areas if free.may_use(area)] == list(Scope)
    assert [area for area in areas if limited.may_use(area)] == [Scope.STATUS]


def test_the_user_of_the_command_line(store: Store) -> None:
    me = os_user()
    alone = local_principal(store)
    assert alone == local_admin(me)
    assert (alone.name, alone.person) == (f"{me} (local)", Person("local", me))
    assert (set(alone.roles), set(alone.groups)) == ({Role.ADMIN}, set())
    store.people.put(PersonEdit("ann", frozenset({Role.APPROVER}), frozenset({"dba"}), "hash"), BY, "", NOW)
    with pytest.raises(IdentityError, match=f"none of them; `callgate admin people add {me} --role approver`"):
        local_principal(store)
    ann = local_principal(store, "ann")
    assert (ann.name, ann.person, set(ann.roles), set(ann.groups)) == ("ann (local)", ANN, {Role.APPROVER}, {"dba"})
    store.people.put(PersonEdit("ann", frozenset({Role.APPROVER}), is_active=False), BY, "", NOW)
    with pytest.raises(IdentityError, match="`ann` is not active"):
        local_principal(store, "ann")
