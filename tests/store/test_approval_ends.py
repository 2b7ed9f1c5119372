"""Ends of approvals: by changes, by hand and by time, and their deletion, on both databases."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from callgate.store.errors import StateError, UnknownIdError
from callgate.store.model import (
    PermitBounds,
    PermitOffer,
    State,
    Verdict,
)
from callgate.store.store import Store
from support.approvals import (
    CALLER,
    DAY,
    HOUR,
    NOW,
    SECOND,
    answer,
    approved,
    ask,
    need,
    new_id,
    state,
    waiting,
)


def test_the_end_of_a_policy_ends_what_is_pending(store: Store) -> None:
    kept, used = approved(store, "a"), approved(store, "b")
    store.approvals.ask([ask("b")], NOW)
    denied = waiting(store, "c")
    store.approvals.answer(denied, answer("ann", Verdict.DENY), NOW)
    ended, other = waiting(store, "d"), waiting(store, "e", policy_digest="q")
    assert store.approvals.end_of_policy("p", CALLER, NOW) == 1
    states = [state(store, one) for one in (kept, used, denied, ended, other)]
    assert states == [State.APPROVED, State.CONSUMED, State.DENIED, State.ENDED, State.PENDING]
    assert store.approvals.get(ended, NOW).cause == "the policy is no longer in force"


def test_the_end_of_a_pin(store: Store) -> None:
    ended = [waiting(store, "a", pin_digest="old"), approved(store, "b", pin_digest="old")]
    kept = [waiting(store, "c", pin_digest="new"), waiting(store, "d"), waiting(store, "e", tool="u", pin_digest="old")]
    used, use = approved(store, "f", pin_digest="old"), ask("f", pin_digest="old")
    store.approvals.ask([use], NOW)
    assert store.approvals.end_of_pin("s", "t", "old", CALLER, NOW) == 2
    assert store.approvals.restore(used, use.use_id, CALLER, NOW).state is State.CONSUMED
    assert {state(store, one) for one in ended} == {State.ENDED}
    assert {state(store, one) for one in kept} == {State.PENDING}


def test_the_end_of_a_grant_is_for_good(store: Store) -> None:
    used, use = approved(store, "a"), ask("a")
    store.approvals.ask([use], NOW)
    ended = [waiting(store, "b"), approved(store, "c")]
    other = waiting(store, "d", grant="h")
    assert store.approvals.end_of_grant("g", CALLER, "revoked", NOW) == 2
    assert {state(store, one) for one in ended} == {State.ENDED}
    assert state(store, other) is State.PENDING
    # Also by a replica whose clock is behind.
    assert store.approvals.restore(used, use.use_id, CALLER, NOW - SECOND).state is State.CONSUMED


def test_a_use_while_a_grant_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    approval_id, use = approved(store), ask()
    write = store.database.write

    def use_after(*args: Any) -> Any:
        monkeypatch.undo()
        result = write(*args)
        store.approvals.ask([use], NOW)
        return result

    monkeypatch.setattr(store.database, "write", use_after)
    store.approvals.end_of_grant("g", CALLER, "revoked", NOW)
    with suppress(StateError):
        store.approvals.restore(approval_id, use.use_id, CALLER, NOW)
    assert state(store, approval_id) in {State.ENDED, State.CONSUMED}


def test_withdrawing(store: Store) -> None:
    for make in (waiting, approved):
        approval_id = make(store, make.__name__)
        assert store.approvals.withdraw(approval_id, CALLER, "no longer needed", NOW).state is State.ENDED
        with pytest.raises(StateError, match="is ended, so that it cannot be withdrawn"):
            store.approvals.withdraw(approval_id, CALLER, "", NOW)
    with pytest.raises(UnknownIdError):
        store.approvals.withdraw("x", CALLER, "", NOW)


def test_what_is_due_expires(store: Store) -> None:
    first, second = waiting(store, "a"), approved(store, "b", NOW + 1)
    assert store.approvals.expire_due(NOW + HOUR - 1) == 0
    assert store.approvals.expire_due(NOW + HOUR) == 1
    assert store.approvals.expire_due(NOW + HOUR + 1) == 1
    assert store.approvals.expire_due(NOW + DAY) == 0
    changed = store.approvals.get(first, NOW)
    assert (changed.state, changed.changed_us, changed.cause) == (State.EXPIRED, NOW + HOUR, "its time is over")
    assert state(store, second) is State.EXPIRED


def test_what_is_old_is_forgotten(store: Store) -> None:
    first, second = waiting(store, "a"), approved(store, "b", NOW + DAY)
    store.approvals.expire_due(NOW + 2 * DAY)
    keep = {"keep_arguments_us": 30 * DAY, "keep_us": 730 * DAY}
    assert store.approvals.forget(NOW + 30 * DAY - 1, **keep) == (0, 0)
    assert store.approvals.forget(NOW + 30 * DAY, **keep) == (1, 0)
    assert [store.approvals.record(one).arguments for one in (first, second)] == [None, "{}"]
    assert store.approvals.forget(NOW + 730 * DAY, **keep) == (1, 1)
    with pytest.raises(UnknownIdError):
        store.approvals.record(first)
    assert len(store.approvals.record(second).answers) == 1


def test_what_is_live_is_not_forgotten(store: Store) -> None:
    pending = waiting(store, "a", needs=(need(timeout_us=DAY, permit=PermitBounds(1, DAY)),))
    now, forever = {"keep_arguments_us": 0, "keep_us": 0}, PermitOffer(new_id(), "{}", 1, DAY)
    assert store.approvals.forget(NOW + 1, **now) == (0, 0)
    assert store.approvals.record(pending).arguments == "{}"
    store.approvals.answer(pending, answer(permit=forever), NOW)
    assert store.approvals.forget(NOW + 1, **now) == (1, 0)
    assert store.permits.get(forever.permit_id, NOW).is_active
    store.permits.end(forever.permit_id, CALLER, "", NOW)
    assert store.approvals.forget(NOW + 1, **now) == (0, 1)
