"""Sessions of people of issuers, passkeys with their challenges, and proposals, in both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from callgate.store.attempts import Attempt
from callgate.store.errors import StateError
from callgate.store.model import Actor, Person
from callgate.store.passkeys import MOST_CHALLENGES, Challenge, Passkey
from callgate.store.proposals import KEPT_US, NewProposal, ProposalState
from callgate.store.sessions import IDLE_US, IssuedLogin, Once
from callgate.store.store import Store
from support.approvals import DAY, HOUR, NOW

ISSUER = "https://login.example.com"
ANN, BEN = Person(ISSUER, "ann"), Person(ISSUER, "ben")
ATTEMPT = Attempt(None, "192.0.2.7")
BY = Actor("ann (local)", "here")


def login(person: Person = ANN, sid: str | None = None) -> IssuedLogin:
    return IssuedLogin(person, "Ann \u00e9", frozenset({"b", "a"}), sid, NOW - 5)


def once(name: str) -> Once:
    return Once(name * 64, NOW + HOUR)


def test_a_login_opens_one_session(store: Store) -> None:
    def opened(number: int) -> bool:
        return store.sessions.open_issued(f"hash{number}", login(sid="s"), once("a"), ATTEMPT, NOW)

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(opened, range(4))) == [False, False, False, True]
    assert not store.sessions.open_issued("late", login(), Once("b" * 64, NOW), ATTEMPT, NOW)
    found = [store.sessions.find(f"hash{number}", NOW) for number in range(4)]
    [session] = [one for one in found if one is not None]
    assert (session.issued, session.local, session.person) == (login(sid="s"), None, ANN)
    assert all(store.sessions.find(f"hash{number}", NOW + IDLE_US) is None for number in range(4))


def test_an_issuer_ends_its_own_sessions_alone(store: Store) -> None:
    for name, person, sid in [
        ("1", ANN, "s"),
        ("2", ANN, None),
        ("3", BEN, "s"),
        ("4", Person("https://b", "ann"), "s"),
    ]:
        assert store.sessions.open_issued(f"hash{name}", login(person, sid), once(name), ATTEMPT, NOW)

    def end(issuer: str, subject: str | None, sid: str | None, used: str) -> int | None:
        return store.sessions.end_issued(issuer, subject, sid, once(used), "there", NOW)

    assert end(ISSUER, None, "s", "x") == 2
    assert end(ISSUER, None, "s", "x") is None
    assert end(ISSUER, "ann", None, "y") == 1
    assert [store.sessions.find(f"hash{number}", NOW) is None for number in range(1, 5)] == [True, True, True, False]
    for issuer, subject in (("local", "ann"), (ISSUER, None)):
        with pytest.raises(ValueError, match="expected an issuer"):
            end(issuer, subject, None, "z")
    store.sessions.forget(NOW + 13 * HOUR)
    # What was used is forgotten once it could not be used any more.
    assert end(ISSUER, "ann", None, "x") == 0


def test_an_operator_ends_the_sessions_of_a_person(store: Store) -> None:
    for name, person in [("1", ANN), ("2", ANN), ("3", BEN)]:
        assert store.sessions.open_issued(f"hash{name}", login(person), once(name), ATTEMPT, NOW)
    assert [one.person for one in store.sessions.every(NOW)] == [ANN, ANN, BEN]
    assert store.sessions.every(NOW + IDLE_US) == []
    assert store.sessions.end_of(ANN, BY, "left", NOW) == 2
    assert store.sessions.end_of(ANN, BY, "left", NOW) == 0
    assert store.sessions.end_of(Person("local", "ben"), BY, "", NOW) == 0
    assert [one.person for one in store.sessions.every(NOW)] == [BEN]
    newest = store.audit.page(size=1)[0].change
    assert (newest.action, newest.object_id, newest.reason) == ("log_out", f"ann ({ISSUER})", "left")


def test_challenges_are_used_once_and_bounded(store: Store) -> None:
    def challenge(number: int, session: str = "s") -> Challenge:
        return Challenge(f"d{number}", session, "p", NOW + HOUR + number)

    for number in range(MOST_CHALLENGES + 3):
        store.passkeys.challenge(challenge(number), NOW)
    store.passkeys.challenge(challenge(99, "other"), NOW)
    assert not store.passkeys.take("d0", "s", "p", NOW)
    with ThreadPoolExecutor(4) as threads:
        taken = threads.map(lambda _: store.passkeys.take("d5", "s", "p", NOW), range(4))
        assert sorted(taken) == [False, False, False, True]
    for name, session, purpose, at in [
        ("d6", "other", "p", NOW),
        ("d7", "s", "q", NOW),
        ("d8", "s", "p", NOW + DAY),
    ]:
        assert not store.passkeys.take(name, session, purpose, at)
        assert not store.passkeys.take(name, "s", "p", NOW)
    assert store.passkeys.take("d99", "other", "p", NOW)


def test_two_uses_of_one_count_are_one(store: Store) -> None:
    passkey = Passkey("id", ANN, "a phone", b"\0key", 3, ("usb",), NOW, "here")
    store.passkeys.add(passkey, BY, NOW)
    assert store.passkeys.of(ANN) == [passkey]
    assert store.passkeys.of(BEN) == []
    with ThreadPoolExecutor(4) as threads:
        used = threads.map(lambda _: store.passkeys.used(passkey, 4, NOW), range(4))
        assert sorted(used) == [False, False, False, True]


def test_a_proposal_is_decided_once(store: Store) -> None:
    new = NewProposal("abc", "policies", "new", "{}", 0, "why", "ann (local)")
    made = store.proposals.make(new, BY, NOW)
    assert store.proposals.page(NOW, state=ProposalState.PENDING).items == (made,)

    def decide(_: int) -> bool:
        try:
            store.proposals.decide("abc", ProposalState.CONFIRMED, Actor("ben (local)", "there"), "", NOW)
        except StateError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(decide, range(4))) == [False, False, False, True]
    assert store.proposals.page(NOW, state=ProposalState.PENDING).items == ()
    late = store.proposals.make(NewProposal("abd", "policies", "new", None, 2, "", "x"), BY, NOW)
    assert store.proposals.page(NOW + KEPT_US, state=ProposalState.EXPIRED).items[0].id == late.id
