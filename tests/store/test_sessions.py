"""Sessions, one-time links and attempts to log in, on both databases."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import insert

from callgate.store.attempts import FORGOTTEN_US, KNOWN_US, Attempt
from callgate.store.errors import ConflictError
from callgate.store.model import Actor, Person
from callgate.store.people import LocalPerson, PersonEdit, Role
from callgate.store.sessions import IDLE_US, LINK_US, LONGEST_US, MOST_SESSIONS
from callgate.store.store import Store
from callgate.store.tables import login_attempts
from support.approvals import NOW, SECOND, new_id

ADMIN = Actor("root (local)", "terminal")
ANN = Person("local", "ann")
WEB = Attempt("ann", "192.0.2.1")
LINK = Attempt(None, "127.0.0.1")


def put(
    store: Store, name: str = "ann", now_us: int = NOW, *, is_active: bool = True, role: Role = Role.ADMIN
) -> LocalPerson:
    return store.people.put(PersonEdit(name, frozenset({role}), frozenset(), "hash", is_active), ADMIN, "", now_us)


def opened(store: Store, person: LocalPerson, now_us: int = NOW) -> str:
    name = new_id()
    store.sessions.open(name, person, Attempt(person.name, "192.0.2.1"), now_us)
    return name


def test_a_session_until_it_ends(store: Store) -> None:
    ann = put(store)
    session = opened(store, ann)
    found = store.sessions.find(session, NOW)
    assert found is not None
    assert (found.person, found.local, found.made_us, found.expires_us) == (ANN, ann, NOW, NOW + LONGEST_US)
    assert (found.used_us, found.source) == (NOW, "192.0.2.1")
    assert store.sessions.find(session, NOW + IDLE_US - 1) is not None
    assert store.sessions.find(session, NOW + IDLE_US) is None
    used = NOW
    while used < NOW + LONGEST_US - SECOND:
        used = min(used + IDLE_US - 1, NOW + LONGEST_US - 1)
        assert store.sessions.find(session, used) is not None
        store.sessions.mark_used(session, used)
    assert store.sessions.find(session, NOW + LONGEST_US) is None
    [login] = [one.change for one in store.audit.page(kind="people") if one.change.action != "create"]
    assert (login.by, login.action, login.object_id) == (Actor("ann (local)", "192.0.2.1"), "log_in", "ann")


def test_a_session_that_the_person_ends(store: Store) -> None:
    session, other = opened(store, put(store)), "other"
    store.sessions.end(other)
    assert store.sessions.find(session, NOW) is not None
    store.sessions.end(session)
    store.sessions.mark_used(session, NOW + 1)
    assert store.sessions.find(session, NOW) is None


@pytest.mark.parametrize("change", ["role", "password", "deactivate", "remove"])
def test_a_change_of_the_person_ends_sessions(store: Store, change: str) -> None:
    session, other = opened(store, put(store)), opened(store, put(store, "bob"))
    if change == "role":
        put(store, role=Role.VIEWER)
    elif change == "password":
        put(store)
    elif change == "deactivate":
        put(store, is_active=False)
    else:
        store.people.remove("ann", ADMIN, "", NOW)
    assert store.sessions.find(session, NOW) is None
    assert store.sessions.find(other, NOW) is not None


def test_a_person_who_changes_while_logging_in(store: Store) -> None:
    seen = put(store)
    put(store, role=Role.VIEWER)
    with pytest.raises(ConflictError, match="the person `ann` was changed meanwhile; log in again"):
        opened(store, seen)
    store.people.remove("ann", ADMIN, "", NOW)
    with pytest.raises(ConflictError):
        opened(store, seen)


def test_old_sessions_give_way_to_new_ones(store: Store) -> None:
    ann = put(store)
    sessions = [opened(store, ann, NOW + number) for number in range(MOST_SESSIONS + 2)]
    in_force = [one for one in sessions if store.sessions.find(one, NOW + 100) is not None]
    assert in_force == sessions[2:]


def test_a_link_works_once(store: Store) -> None:
    assert store.sessions.add_link("link", "root", NOW)
    assert not store.sessions.use_link("other", "session", LINK, NOW)
    assert store.sessions.use_link("link", "session", LINK, NOW + LINK_US - 1)
    assert not store.sessions.use_link("link", "second", LINK, NOW + LINK_US - 1)
    found = store.sessions.find("session", NOW)
    assert found is not None
    assert (found.person, found.local) == (Person("local", "root"), None)
    [login] = store.audit.page()
    assert (login.change.by, login.change.action) == (Actor("root (local)", "127.0.0.1"), "log_in_by_link")


def test_a_link_ends(store: Store) -> None:
    assert store.sessions.add_link("link", "root", NOW)
    assert not store.sessions.use_link("link", "session", LINK, NOW + LINK_US)


def test_the_first_person_ends_links_and_their_sessions(store: Store) -> None:
    assert store.sessions.add_link("used", "root", NOW)
    assert store.sessions.add_link("link", "root", NOW)
    assert store.sessions.use_link("used", "session", LINK, NOW)
    put(store)
    assert store.sessions.find("session", NOW) is None
    assert not store.sessions.use_link("link", "second", LINK, NOW)
    assert not store.sessions.add_link("third", "root", NOW)
    store.people.remove("ann", ADMIN, "", NOW)
    # What was ended does not come back.
    assert store.sessions.find("session", NOW) is None
    assert not store.sessions.use_link("link", "second", LINK, NOW)


def test_one_of_many_uses_of_a_link_wins(store: Store) -> None:
    assert store.sessions.add_link("link", "root", NOW)
    won: list[bool] = []

    def use(number: int) -> None:
        won.append(store.sessions.use_link("link", f"session{number}", LINK, NOW))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def test_what_is_over_is_forgotten(store: Store) -> None:
    assert store.sessions.add_link("link", "root", NOW)
    assert store.sessions.forget(NOW + LINK_US - 1) == 0
    assert store.sessions.forget(NOW + LINK_US) == 1
    ann = put(store)
    session, idle = opened(store, ann), opened(store, ann)
    store.sessions.mark_used(session, NOW + 10)
    assert store.sessions.forget(NOW + IDLE_US) == 1
    assert store.sessions.find(session, NOW + IDLE_US) is not None
    assert store.sessions.find(idle, NOW) is None
    # The source stays known as one of ann's.
    assert store.attempts.forget(NOW + KNOWN_US - 1) == 0
    assert store.attempts.forget(NOW + KNOWN_US) == 1


def fail(store: Store, attempt: Attempt, times: int, now_us: int = NOW) -> int:
    """Fails as often as it may, at the first moment when it may; the time of the last attempt."""
    for _ in range(times):
        now_us += store.attempts.wait_us(attempt, now_us)
        assert store.attempts.begin(attempt, now_us) == 0
    return now_us


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_delays_double_up_to_a_bound(store: Store, name: str) -> None:
    put(store)
    attempt = Attempt(name, "192.0.2.1")
    now_us = fail(store, attempt, 3)
    assert now_us == NOW
    for delay_s in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
        assert store.attempts.wait_us(attempt, now_us) == delay_s * SECOND
        assert store.attempts.begin(attempt, now_us + delay_s * SECOND - 1) == 1
        now_us += delay_s * SECOND
        assert store.attempts.begin(attempt, now_us) == 0
    # A day later it begins anew.
    assert store.attempts.wait_us(attempt, now_us + FORGOTTEN_US) == 0
    assert fail(store, attempt, 3, now_us + FORGOTTEN_US) == now_us + FORGOTTEN_US


def test_many_sources_guess_at_one_name(store: Store) -> None:
    for number in range(10):
        assert store.attempts.begin(Attempt("ann", f"198.51.100.{number}"), NOW) == 0
    now_us, waits = NOW, []
    for number in range(8):
        before, now_us = now_us, fail(store, Attempt("ann", f"203.0.113.{number}"), 1, now_us)
        waits.append((now_us - before) // SECOND)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert store.attempts.wait_us(Attempt("ann", "203.0.113.99"), now_us) == 30 * SECOND
    assert store.attempts.wait_us(Attempt("bob", "203.0.113.99"), now_us) == 0


def test_a_person_at_a_known_source_does_not_wait_for_attackers_elsewhere(store: Store) -> None:
    ann = put(store)
    assert store.attempts.begin(WEB, NOW) == 0
    store.sessions.open("session", ann, WEB, NOW)
    now_us = NOW
    for number in range(30):
        now_us = fail(store, Attempt("ann", f"198.51.100.{number}"), 1, now_us)
    assert store.attempts.wait_us(Attempt("ann", "198.51.100.77"), now_us) > 0
    assert store.attempts.wait_us(WEB, now_us) == 0
    # The attacker at the same source makes the person wait there.
    now_us = fail(store, WEB, 4, now_us)
    assert store.attempts.wait_us(WEB, now_us) > 0


def test_who_fills_the_rows_of_all_does_not_reach_a_known_source(store: Store) -> None:
    ann = put(store)
    store.sessions.open("session", ann, WEB, NOW)
    with store.database.engine.begin() as connection:
        bits = [f"{number:04x}" for number in range(65_536)]
        rows = [{"kind": kind, "key": key, "failures": 99, "last_us": NOW} for kind in ("pair", "name") for key in bits]
        connection.execute(insert(login_attempts), rows)
    assert store.attempts.wait_us(Attempt("ann", "192.0.2.2"), NOW) == 300 * SECOND
    assert store.attempts.wait_us(WEB, NOW) == 0
    now_us = fail(store, WEB, 4)
    assert store.attempts.wait_us(WEB, now_us) == 2 * SECOND


def test_one_source_guesses_at_many_names(store: Store) -> None:
    for number in range(20):
        assert store.attempts.begin(Attempt(f"name{number}", "192.0.2.1"), NOW) == 0
    assert store.attempts.wait_us(Attempt("another", "192.0.2.1"), NOW) == SECOND
    assert store.attempts.wait_us(Attempt("another", "192.0.2.2"), NOW) == 0
    # Links are counted apart.
    assert store.attempts.wait_us(Attempt(None, "192.0.2.1"), NOW) == 0


def test_a_right_password_takes_back_its_own_attempts_alone(store: Store) -> None:
    ann = put(store)
    for number in range(21):
        fail(store, Attempt(f"name{number}", "192.0.2.1"), 1, NOW + 60 * SECOND * number)
    now_us = fail(store, WEB, 2, NOW + 60 * SECOND * 21)
    store.sessions.open("session", ann, WEB, now_us)
    assert store.attempts.wait_us(WEB, now_us) == 0
    assert store.attempts.wait_us(Attempt("another", "192.0.2.1"), now_us) > 0


def test_a_new_password_ends_delays(store: Store) -> None:
    put(store)
    now_us = fail(store, WEB, 5)
    assert store.attempts.wait_us(WEB, now_us) > 0
    put(store, now_us=now_us + 1)
    assert store.attempts.wait_us(WEB, now_us + 1) == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("unix", "unix", True),
    ],
)
def test_sources_that_are_one(store: Store, one: str, other: str, is_same: bool) -> None:
    now_us = fail(store, Attempt("ann", one), 5)
    assert (store.attempts.wait_us(Attempt("ann", other), now_us) > 0) is is_same


def test_guessing_at_links(store: Store) -> None:
    now_us = fail(store, LINK, 5)
    assert store.attempts.wait_us(LINK, now_us) == SECOND
    now_us = fail(store, LINK, 8, now_us)
    assert store.attempts.wait_us(LINK, now_us) == 10 * SECOND


def test_a_link_that_is_over_is_no_guess(store: Store) -> None:
    store.sessions.add_link("link", "root", NOW)
    for number in range(8):
        assert store.attempts.begin(LINK, NOW + LINK_US) == 0
        assert not store.sessions.use_link("link", f"session{number}", LINK, NOW + LINK_US)


def test_a_clock_that_was_far_ahead(store: Store) -> None:
    fail(store, WEB, 6, NOW + FORGOTTEN_US)
    assert store.attempts.wait_us(WEB, NOW) == 0


def test_attempts_at_once_are_counted_each(store: Store) -> None:
    let_in: list[bool] = []

    def guess() -> None:
        let_in.append(store.attempts.begin(WEB, NOW) == 0)

    threads = [threading.Thread(target=guess) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(let_in) == 3


def test_a_name_that_is_no_text(store: Store) -> None:
    assert store.attempts.begin(Attempt("a\udcff\0b", "x\udcff"), NOW) == 0
