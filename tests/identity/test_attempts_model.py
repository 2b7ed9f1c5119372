"""The slowdown of guessing, held to its promises under any order of attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from callgate.store.attempts import Attempt
from callgate.store.model import Actor
from callgate.store.people import LocalPerson, PersonEdit, Role
from callgate.store.tables import login_attempts, sessions
from support.approvals import NOW, SECOND, new_id

if TYPE_CHECKING:
    from callgate.store.store import Store

BY = Actor("root (local)", "terminal")
NAMES = ("ann", "nobody")
SOURCES = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:0:1::1")
STEPS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(SOURCES), st.integers(0, 90 * SECOND), st.booleans()),
    max_size=60,
)


def begun(store: Store) -> LocalPerson:
    """The same state before each example."""
    store.database.write(lambda at: (at.execute(delete(login_attempts)), at.execute(delete(sessions))))
    return store.people.put(PersonEdit("ann", frozenset({Role.VIEWER}), frozenset(), "hash"), BY, "", NOW - SECOND)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_promises(store: Store, steps: list[tuple[str, str, int, bool]]) -> None:
    ann, now_us = begun(store), NOW
    admitted: dict[tuple[str, str], list[int]] = {}
    known: set[str] = set()
    for name, source, later_us, is_right in steps:
        now_us += later_us
        network = "v6" if ":" in source else source
        attempt = Attempt(name, source)
        wait_us = store.attempts.wait_us(attempt, now_us)
        # Nobody waits longer than the largest bound, and a look says what the attempt is told.
        assert 0 <= wait_us <= 300 * SECOND
        assert store.attempts.begin(attempt, now_us) == wait_us
        failed = admitted.setdefault((name, network), [])
        if network in known and name == "ann" and len(failed) < 3:
            assert wait_us == 0
        if wait_us:
            continue
        # From the third failure on, the time to the next one doubles.
        if len(failed) >= 3:
            assert now_us - failed[-1] >= min(SECOND << (len(failed) - 3), 300 * SECOND)
        failed.append(now_us)
        if is_right and name == "ann":
            store.sessions.open(new_id(), ann, attempt, now_us)
            known.add(network)
            failed.clear()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(SOURCES), st.integers(0, 90 * SECOND)), max_size=40))
def test_nobody_learns_which_names_exist(store: Store, steps: list[tuple[str, int]]) -> None:
    told = []
    for name in NAMES:
        begun(store)
        now_us, waits = NOW, list[int]()
        for source, later_us in steps:
            now_us += later_us
            waits.append(store.attempts.begin(Attempt(name, source), now_us))
        told.append(waits)
    assert told[0] == told[1]
