"""What the store knows of signed logs, on both databases."""

from __future__ import annotations

import pytest

from callgate.store.audit import Change
from callgate.store.audit_logs import LEASE_US, CheckpointConflictError, StreamInUseError
from callgate.store.model import Actor
from callgate.store.store import Store
from support.approvals import NOW, SECOND

HOUR = 3_600 * SECOND
DAY = 24 * HOUR
ADMIN = Actor("ann", "127.0.0.1")


def change(store: Store, number: int) -> None:
    for one in range(number):
        store.audit.add(Change(ADMIN, "create", "grants", f"g{one}"), NOW)


def note(size: int, root: str = "root", signature: str = "one") -> str:
    return f"host/1\n{size}\n{root}\n\n{signature}\n"


def test_a_stream_has_one_writer(store: Store) -> None:
    store.audit_logs.claim("host/1", "host", "a", NOW, since_us=NOW + 1)
    store.audit_logs.claim("host/1", "host", "a", NOW + SECOND, since_us=NOW + 1, is_renewal=True)
    with pytest.raises(StreamInUseError, match="another callgate writes the log `host/1` of the stream `host`"):
        store.audit_logs.claim("host/2", "host", "b", NOW + 2 * SECOND, since_us=NOW + 1)
    store.audit_logs.claim("other/1", "other", "b", NOW + 2 * SECOND, since_us=NOW + 1)
    # Another one, once nothing is heard of the first, or it has stopped.
    store.audit_logs.claim("host/2", "host", "b", NOW + SECOND + LEASE_US, since_us=NOW + 1)
    with pytest.raises(StreamInUseError):
        store.audit_logs.claim("host/1", "host", "a", NOW + 2 * SECOND + LEASE_US, since_us=NOW + 1, is_renewal=True)
    store.audit_logs.release("host/2", "a")
    with pytest.raises(StreamInUseError):
        store.audit_logs.claim("host/1", "host", "a", NOW + 2 * SECOND + LEASE_US, since_us=NOW + 1, is_renewal=True)
    store.audit_logs.release("host/2", "b")
    store.audit_logs.claim("host/1", "host", "a", NOW + 2 * SECOND + LEASE_US, since_us=NOW + 1, is_renewal=True)
    # A process that was started again takes its log from the one that was killed; a copy of the log is refused.
    store.audit_logs.claim("host/1", "host", "c", NOW + 3 * SECOND + LEASE_US, since_us=NOW + 1)
    with pytest.raises(StreamInUseError):
        store.audit_logs.claim("host/1", "host", "a", NOW + 4 * SECOND + LEASE_US, since_us=NOW + 1, is_renewal=True)
    assert [(one.origin, one.holder) for one in store.audit_logs.logs()] == [
        ("host/1", "c"),
        ("host/2", ""),
        ("other/1", "b"),
    ]


def test_a_log_has_the_admin_changes_since_its_beginning(store: Store) -> None:
    change(store, 2)
    [newest, _] = store.audit.page()
    log = store.audit_logs.claim("host/1", "host", "a", NOW, since_us=NOW + 1)
    assert (log.admin_from, log.admin_until) == (newest.number, newest.number)
    assert store.audit_logs.claim("new/1", "new", "a", NOW, since_us=NOW).admin_from == 0, "changes of this moment"
    change(store, 3)
    numbers = [one.number for one in store.audit.after(newest.number)]
    assert len(numbers) == 3
    assert numbers == sorted(numbers)
    store.audit_logs.publish("host/1", 5, note(5), NOW, admin_until=numbers[1])
    assert store.audit_logs.claim("host/1", "host", "a", NOW, since_us=NOW + 1).admin_until == numbers[1]
    # What one log has not when it ends, the next one has to have.
    store.audit_logs.release("host/1", "a")
    later = store.audit_logs.claim("host/2", "host", "a", NOW, since_us=NOW + 1)
    assert (later.admin_from, later.admin_until) == (numbers[1], numbers[1])


def test_checkpoints_that_contradict_one_another_are_refused(store: Store) -> None:
    store.audit_logs.publish("host/1", 5, note(5), NOW)
    store.audit_logs.publish("host/1", 5, note(5, signature="two"), NOW)
    with pytest.raises(CheckpointConflictError, match="another tree of 5 entries"):
        store.audit_logs.publish("host/1", 5, note(5, root="other"), NOW)
    with pytest.raises(CheckpointConflictError, match="has 4 entries under its checkpoint, the store has one over 5"):
        store.audit_logs.publish("host/1", 4, note(4), NOW)
    store.audit_logs.publish("host/1", 6, note(6), NOW)
    store.audit_logs.publish("host/2", 1, note(1), NOW)
    assert [one.size for one in store.audit_logs.checkpoints("host/1")] == [5, 6]
    assert [one.note for one in store.audit_logs.checkpoints("host/1")] == [note(5), note(6)]


def test_old_checkpoints_are_thinned_out(store: Store) -> None:
    at, size = NOW - NOW % DAY, 0
    for _ in range(40):
        for minutes in (1, 2, 61, 62):
            size += 1
            store.audit_logs.publish("host/1", size, note(size), at + minutes * 60 * SECOND)
        at += DAY
    found = [one.size for one in store.audit_logs.checkpoints("host/1")]
    # The last of each day, of each hour for thirty days, and all of the last hour.
    assert found[-2:] == [159, 160]
    assert found[:9] == [4, 8, 12, 16, 20, 24, 28, 32, 36]
    assert {40 + 4 * day + last for day in range(1, 29) for last in (2, 4)} <= set(found)
    assert not {one for one in found if one < 157 and one % 2}
