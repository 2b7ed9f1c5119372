"""Pending approvals and their changes as they come, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

from callgate.cli.follow import Changed, Fault, Follower
from callgate.store.model import State, Verdict
from callgate.store.store import Store
from support.approvals import NOW, answer, ask
from support.program import TIMEOUT_S


@contextmanager
def followed(store: Store) -> Iterator[Queue[Changed | Fault]]:
    told: Queue[Changed | Fault] = Queue()
    follower = Follower(store, told.put, lambda: NOW)
    follower.start()
    try:
        yield told
    finally:
        follower.stop()
    assert not follower.is_alive()


def following(told: Queue[Changed | Fault], states: dict[str, State], until: dict[str, State]) -> None:
    """Takes changes until the states are these."""
    while states != until:
        event = told.get(timeout=TIMEOUT_S)
        assert isinstance(event, Changed)
        states.update({one.id: one.state for one in event.approvals})


def test_all_changes_are_told(store: Store) -> None:
    big = Store(store.database, per_grant=10_000)
    first = [ask(f"first {number}") for number in range(1_100)]
    big.approvals.ask(first, NOW)
    states: dict[str, State] = {}
    expected = {one.new_id: State.PENDING for one in first}
    with followed(store) as told:
        following(told, states, expected)
        # More than one reading of changes.
        second = [ask(f"second {number}") for number in range(1_100)]
        big.approvals.ask(second, NOW)
        expected |= {one.new_id: State.PENDING for one in second}
        following(told, states, expected)
        store.approvals.answer(first[0].new_id, answer("ann", Verdict.DENY), NOW)
        expected[first[0].new_id] = State.DENIED
        following(told, states, expected)


def test_only_pending_ones_are_told_at_first(store: Store) -> None:
    asks = [ask(name) for name in "abc"]
    store.approvals.ask(asks, NOW)
    store.approvals.answer(asks[1].new_id, answer(), NOW)
    with followed(store) as told:
        event = told.get(timeout=TIMEOUT_S)
        assert isinstance(event, Changed)
        assert {one.id for one in event.approvals} == {asks[0].new_id, asks[2].new_id}
