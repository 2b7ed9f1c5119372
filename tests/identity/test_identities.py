"""From a token, a password or a link to a person or machine."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from callgate.errors import StoreError
from callgate.identity.errors import IdentityError, RetryError
from callgate.identity.identities import Identities
from callgate.identity.local import local_principal
from callgate.identity.passwords import Passwords
from callgate.identity.principal import local_admin
from callgate.identity.secret_text import Prefix, new_secret
from callgate.os_user import os_user
from callgate.store.attempts import Attempts
from callgate.store.model import Actor, Person
from callgate.store.people import LocalPerson, PersonEdit, Role
from callgate.store.sessions import IDLE_US, LINK_US, LONGEST_US, Sessions
from callgate.store.store import Store
from callgate.store.tokens import Scope, Tokens
from support.approvals import DAY, NOW, SECOND

if TYPE_CHECKING:
    from support.identities import Clock

BY = Actor("root (local)", "terminal")
GOOD = "correct horse battery"
ANN = Person("local", "ann")
HERE, THERE = "192.0.2.1", "203.0.113.9"


@pytest.fixture
def ann(store: Store, passwords: Passwords) -> LocalPerson:
    """A person with a password."""
    return put(store, passwords)


def put(
    store: Store, passwords: Passwords, name: str = "ann", password: str | None = GOOD, **more: object
) -> LocalPerson:
    hashed = None if password is None else passwords.hash(password)
    edit = PersonEdit(name, frozenset({Role.APPROVER}), frozenset({"dba"}), hashed, **more)  # type: ignore[arg-type]
    return store.people.put(edit, BY, "", NOW)


@pytest.mark.usefixtures("ann")
def test_a_person_logs_in_and_out(identities: Identities) -> None:
    token = identities.log_in("ann", GOOD, HERE)
    who = identities.of_session(token)
    assert (who.name, who.person, set(who.roles), set(who.groups)) == (
        *("ann (local)", Person("local", "ann")),
        *({Role.APPROVER}, {"dba"}),
    )
    assert identities.log_in("ann", GOOD, HERE) != token
    identities.log_out(token)
    identities.log_out(token)
    identities.log_out("nonsense")
    with pytest.raises(IdentityError, match="not logged in"):
        identities.of_session(token)


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    ("name", "password"), [("ann", "wrong"), ("ann", ""), ("bob", GOOD), ("", ""), ("Ann", GOOD), ("a\0", "\udcff")]
)
def test_a_wrong_name_or_password(identities: Identities, name: str, password: str) -> None:
    with pytest.raises(IdentityError, match=r"^wrong name or password$"):
        identities.log_in(name, password, HERE)


def test_a_person_who_is_not_active(identities: Identities, store: Store, passwords: Passwords) -> None:
    put(store, passwords, is_active=False)
    with pytest.raises(IdentityError, match=r"^wrong name or password$"):
        identities.log_in("ann", GOOD, HERE)


def test_an_unknown_name_is_hashed_too(
    identities: Identities, ann: LocalPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    real = Passwords.verify

    def watched(self: Passwords, hashed: str | None, password: str) -> bool:
        seen.append(hashed is None)
        return real(self, hashed, password)

    monkeypatch.setattr(Passwords, "verify", watched)
    for name in (ann.name, "nobody"):
        with pytest.raises(IdentityError):
            identities.log_in(name, "wrong", HERE)
    assert seen == [False, True]


def test_a_session_ends_by_time(identities: Identities, clock: Clock, ann: LocalPerson) -> None:
    token = identities.log_in(ann.name, GOOD, HERE)
    while clock.now_us < NOW + LONGEST_US - IDLE_US // 2:
        clock.now_us += IDLE_US // 2
        assert identities.of_session(token).person == ann.person
    clock.now_us = NOW + LONGEST_US
    with pytest.raises(IdentityError):
        identities.of_session(token)
    token = identities.log_in(ann.name, GOOD, HERE)
    clock.now_us += IDLE_US
    with pytest.raises(IdentityError):
        identities.of_session(token)


def test_uses_are_written_once_a_minute(
    identities: Identities, clock: Clock, ann: LocalPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(Sessions, "mark_used", lambda _self, _hash, now_us: written.append(now_us - NOW))
    token = identities.log_in(ann.name, GOOD, HERE)
    for second in (1, 59, 60):
        clock.now_us = NOW + second * SECOND
        identities.of_session(token)
    assert written == [60 * SECOND]


def test_a_store_that_cannot_be_written_is_read_on(
    identities: Identities, clock: Clock, ann: LocalPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = identities.log_in(ann.name, GOOD, HERE)
    _, token = identities.new_token("ci", frozenset({Role.VIEWER}), None, NOW + DAY, BY, "")

    def full(*_arguments: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Sessions, "mark_used", full)
    monkeypatch.setattr(Tokens, "mark_used", full)
    clock.now_us += 120 * SECOND
    assert identities.of_session(session).person == ann.person
    assert identities.of_token(token).person is None


@pytest.mark.usefixtures("ann")
def test_guessing_is_slowed(identities: Identities, store: Store, clock: Clock, passwords: Passwords) -> None:
    for _ in range(3):
        with pytest.raises(IdentityError, match="wrong"):
            identities.log_in("ann", "wrong", HERE)
    # Also for the right password, and in another process.
    for other in (identities, Identities(store, passwords=passwords, clock=clock)):
        with pytest.raises(RetryError, match="too many failed attempts; try again in 1 s") as raised:
            other.log_in("ann", GOOD, HERE)
        assert raised.value.retry_after_s == 1
    assert identities.of_session(identities.log_in("ann", GOOD, THERE)).person == ANN
    clock.now_us += SECOND
    assert identities.of_session(identities.log_in("ann", GOOD, HERE)).person == ANN


@pytest.mark.usefixtures("ann")
def test_guesses_at_once(identities: Identities, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    monkeypatch.setattr(Passwords, "verify", lambda _self, _hash, password: looked_at.append(password))

    def guess(number: int) -> None:
        with pytest.raises(IdentityError):
            identities.log_in("ann", f"guess {number}", HERE)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked_at) == 3


def test_who_gets_no_turn_has_not_failed(
    identities: Identities, ann: LocalPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Passwords) -> None:
        raise RetryError("too many people log in at this moment", SECOND)

    with monkeypatch.context() as patched:
        patched.setattr(Passwords, "turn", full)
        patched.setattr(Attempts, "begin", None)
        for _ in range(5):
            with pytest.raises(RetryError):
                identities.log_in(ann.name, GOOD, HERE)
    assert identities.of_session(identities.log_in(ann.name, GOOD, HERE)).person == ANN


def test_a_password_that_changes_during_the_login(
    identities: Identities, store: Store, ann: LocalPerson, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Passwords.verify

    def changing(self: Passwords, hashed: str | None, password: str) -> bool:
        is_right = real(self, hashed, password)
        put(store, passwords, password=None)
        return is_right

    monkeypatch.setattr(Passwords, "verify", changing)
    with pytest.raises(IdentityError, match="was changed meanwhile; log in again"):
        identities.log_in(ann.name, GOOD, HERE)


def test_a_one_time_link(identities: Identities, store: Store, clock: Clock, passwords: Passwords) -> None:
    link = identities.new_once()
    who = identities.of_session(token := identities.of_once(link, "127.0.0.1"))
    # The same person as at the command line, so that the second answer of one human is noticed.
    assert who == local_admin(os_user()) == local_principal(store)
    assert who.may_answer()
    with pytest.raises(IdentityError, match="this link does not work, or not any more"):
        identities.of_once(link, "127.0.0.1")
    late = identities.new_once()
    clock.now_us += LINK_US
    with pytest.raises(IdentityError, match="does not work"):
        identities.of_once(late, "127.0.0.1")
    fresh = identities.new_once()
    put(store, passwords)
    with pytest.raises(IdentityError, match="does not work"):
        identities.of_once(fresh, "127.0.0.1")
    with pytest.raises(IdentityError, match="not logged in"):
        identities.of_session(token)
    with pytest.raises(IdentityError, match="the store has people"):
        identities.new_once()


def test_guessing_at_links_is_slowed(identities: Identities) -> None:
    link = identities.new_once()
    for guess in ("", "cgl_", new_secret(Prefix.LINK), new_secret(Prefix.SESSION), "x" * 10_000):
        with pytest.raises(IdentityError, match="does not work"):
            identities.of_once(guess, "127.0.0.1")
    with pytest.raises(RetryError):
        identities.of_once(link, "127.0.0.1")


def test_a_machine(identities: Identities, store: Store, clock: Clock) -> None:
    scopes = frozenset({Scope.DECISIONS})
    stored, token = identities.new_token("ci", frozenset({Role.ADMIN}), scopes, NOW + DAY, BY, "why")
    who = identities.of_token(token)
    assert (who.name, who.person, who.scopes) == (f"ci (token {stored.id})", None, scopes)
    assert not who.may_answer()
    assert store.tokens.get(stored.id).used_us == NOW
    clock.now_us = NOW + DAY
    with pytest.raises(IdentityError, match=r"^unknown token$"):
        identities.of_token(token)


def test_a_revoked_token(identities: Identities, store: Store) -> None:
    stored, token = identities.new_token("ci", frozenset({Role.VIEWER}), None, NOW + DAY, BY, "")
    assert identities.of_token(token).scopes is None
    store.tokens.revoke(stored.id, BY, "", NOW)
    with pytest.raises(IdentityError, match=r"^unknown token$"):
        identities.of_token(token)


def test_housekeeping(identities: Identities, store: Store, ann: LocalPerson) -> None:
    identities.log_in(ann.name, GOOD, HERE)
    for after_us, sessions, attempts in ((0, 0, 0), (LONGEST_US, 1, 0), (32 * DAY, 0, 1), (32 * DAY, 0, 0)):
        now_us = NOW + after_us
        assert (store.sessions.forget(now_us), store.attempts.forget(now_us)) == (sessions, attempts)
