"""Freezes, documents, pins and the admin audit, on both databases."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from callgate.store.audit import Change
from callgate.store.database import Domain
from callgate.store.documents import Edit
from callgate.store.errors import ConflictError, StateError, UnknownIdError
from callgate.store.freezes import Scope, Target
from callgate.store.model import Actor
from callgate.store.pins import Pin
from callgate.store.store import Store
from support.approvals import NOW, SECOND, new_id

ADMIN = Actor("ann", "127.0.0.1")


@pytest.mark.parametrize(
    ("target", "scope"),
    [
        (Target(), Scope.ALL),
        (Target(server="s"), Scope.SERVER),
        (Target(grant="g"), Scope.GRANT),
        (Target(server="s", tool="delete-*"), Scope.TOOL),
    ],
)
def test_a_freeze_until_it_ends(store: Store, target: Target, scope: Scope) -> None:
    made = store.freezes.freeze(new_id(), target, "incident", ADMIN, NOW, until_us=NOW + SECOND)
    assert (made.target, made.target.scope, made.reason, made.made_by) == (target, scope, "incident", ADMIN)
    assert store.freezes.in_force(NOW + SECOND - 1) == [made]
    assert store.freezes.in_force(NOW + SECOND) == []
    with pytest.raises(StateError, match="is over, so that it cannot be ended"):
        store.freezes.thaw(made.id, ADMIN, "", NOW + SECOND)


def test_a_repeated_id_is_a_conflict(store: Store) -> None:
    made = store.freezes.freeze(new_id(), Target(), "", ADMIN, NOW)
    with pytest.raises(ConflictError, match="has something of this id already"):
        store.freezes.freeze(made.id, Target(), "", ADMIN, NOW)


def test_freezes_are_ended_by_hand(store: Store) -> None:
    before = store.last_changes()
    first = store.freezes.freeze(new_id(), Target(), "a", ADMIN, NOW)
    second = store.freezes.freeze(new_id(), Target(server="s"), "b", ADMIN, NOW + 1)
    assert store.freezes.in_force(NOW + 1) == [first, second]
    ended = store.freezes.thaw(first.id, Actor("bob", "web"), "solved", NOW + 2)
    assert (ended.ended_us, ended.ended_by, ended.ended_why) == (NOW + 2, Actor("bob", "web"), "solved")
    assert store.freezes.in_force(NOW + 3) == [second]
    assert [one.id for one in store.freezes.page().items] == [second.id, first.id]
    assert before != store.last_changes()
    thawed, frozen_second, frozen_first = (one.change for one in store.audit.page())
    records = [(one.action, one.object_id, one.reason) for one in (thawed, frozen_second, frozen_first)]
    assert records == [("thaw", first.id, "solved"), ("freeze", second.id, "b"), ("freeze", first.id, "a")]
    assert frozen_first.digest_before is None
    assert thawed.digest_before == frozen_first.digest_after
    assert thawed.digest_after not in (None, thawed.digest_before)
    with pytest.raises(StateError):
        store.freezes.thaw(first.id, ADMIN, "", NOW + 3)
    with pytest.raises(UnknownIdError):
        store.freezes.thaw("x", ADMIN, "", NOW)


@pytest.mark.parametrize("wrong", [{"grant": "g", "server": "s"}, {"tool": "t"}, {"grant": "g", "tool": "t"}])
def test_targets_that_name_nothing(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected nothing, a server, a grant"):
        Target(**wrong)


def put(store: Store, name: str, content: str | None, expected: int | None = None) -> int:
    [version] = store.policies.put([Edit(name, content, expected)], ADMIN, "why", NOW)
    return version


def test_every_version_of_a_document_is_kept(store: Store) -> None:
    assert [put(store, "p", "one", 0), put(store, "p", "two", 1), put(store, "p", None, 2)] == [1, 2, 3]
    with pytest.raises(UnknownIdError, match="there is no document `p` of policies"):
        store.policies.get("p")
    # A new one of the same id does not hide the old ones.
    assert put(store, "p", "four", 0) == 4
    assert store.policies.get("p").content == "four"
    assert store.policies.get("p", 1).content == "one"
    with pytest.raises(UnknownIdError, match="there is no version 9 `p`"):
        store.policies.get("p", 9)
    assert [(one.version, one.content) for one in store.policies.versions("p", before=4)] == [
        (3, None),
        (2, "two"),
        (1, "one"),
    ]
    digest = {word: hashlib.sha256(word.encode()).hexdigest() for word in ("one", "two", "four")}
    records = [one.change for one in store.audit.page(kind="policies", object_id="p")][::-1]
    assert [(one.action, one.digest_before, one.digest_after) for one in records] == [
        ("create", None, digest["one"]),
        ("change", digest["one"], digest["two"]),
        ("delete", digest["two"], None),
        ("create", None, digest["four"]),
    ]
    assert all((one.by, one.reason) == (ADMIN, "why") for one in records)


def test_the_second_of_two_editors_is_told(store: Store) -> None:
    put(store, "p", "one")
    put(store, "p", "two", 1)
    with pytest.raises(ConflictError, match="`p` of policies has version 2 by now, not 1; read it again") as raised:
        put(store, "p", "other", 1)
    assert raised.value.version == 2
    with pytest.raises(ConflictError):
        put(store, "p", "other", 0)
    with pytest.raises(UnknownIdError):
        put(store, "q", None)
    assert store.policies.get("p").content == "two"


def test_edits_are_all_made_or_none(store: Store) -> None:
    put(store, "b", "old")
    before = store.audit.page()
    edits = [Edit("a", "new", 0), Edit("b", "new", 7)]
    with pytest.raises(ConflictError):
        store.policies.put(edits, ADMIN, "", NOW)
    assert [one.id for one in store.policies.page()] == ["b"]
    assert store.audit.page() == before
    assert store.policies.put([Edit("b", "x", 1), Edit("b", "y", 2), Edit("a", "z")], ADMIN, "", NOW) == [2, 3, 1]
    assert [one.content for one in store.policies.page()] == ["z", "y"]


def test_replicas_read_what_changed(store: Store) -> None:
    names = [f"g{number:04}" for number in range(1200)]
    store.grants.put([Edit(name, "{}") for name in names], ADMIN, "import", NOW)
    seen, change = [], 0
    while delta := store.grants.since(change).versions:
        seen += [one.id for one in delta]
        change = store.grants.since(change).change
    assert seen == names
    store.grants.put([Edit("g0007", None), Edit("g0008", "[]")], ADMIN, "", NOW)
    delta_of_two = store.grants.since(change)
    assert [(one.id, one.content) for one in delta_of_two.versions] == [("g0007", None), ("g0008", "[]")]
    assert store.grants.since(delta_of_two.change).versions == ()
    # A kind has numbers of its own.
    assert store.policies.since(0).versions == ()
    assert [one.id for one in store.grants.page(after="g0005", size=3)] == ["g0006", "g0008", "g0009"]
    assert store.grants.put([], ADMIN, "", NOW) == []


def test_an_id_of_the_audit_has_a_kind(store: Store) -> None:
    with pytest.raises(ValueError, match="expected a kind with the id"):
        store.audit.page(object_id="p")


def test_pins(store: Store) -> None:
    one, two = Pin("s", "t", "d1", "{}"), Pin("s", "t", "d2", "[]")
    store.pins.accept([one, two], ADMIN, "looked at", NOW)
    stored = store.pins.since(0)
    assert [(pin.pin, pin.accepted_by, pin.is_deleted) for pin in stored] == [(one, "ann", False), (two, "ann", False)]
    store.pins.forget([Pin("s", "t", "unknown", "{}"), one], ADMIN, "", NOW)
    [gone] = store.pins.since(stored[-1].change)
    assert (gone.pin, gone.is_deleted) == (one, True)
    store.pins.accept([one], ADMIN, "", NOW)
    assert not store.pins.since(gone.change)[0].is_deleted
    assert [record.change.action for record in store.audit.page(kind="pins", object_id="s/t", size=2)] == [
        "accept",
        "forget",
    ]


@pytest.mark.parametrize("statement", ["UPDATE admin_audit SET reason = ''", "DELETE FROM admin_audit"])
def test_the_admin_audit_is_append_only(store: Store, statement: str) -> None:
    store.audit.add(Change(ADMIN, "login", "people", "ann"), NOW)
    with pytest.raises(DBAPIError, match="the admin audit is append-only"), store.database.engine.begin() as connection:
        connection.execute(text(statement))
    [kept] = store.audit.page()
    assert (kept.at_us, kept.change) == (NOW, Change(ADMIN, "login", "people", "ann"))
    assert store.audit.page(before=kept.number) == []


def test_an_import_does_not_hold_up_approvals(store: Store) -> None:
    if store.database.is_sqlite:
        return

    def importing(_connection: object) -> None:
        store.freezes.freeze(new_id(), Target(), "", ADMIN, NOW)

    store.database.write(importing, Domain.ADMINISTRATION)
