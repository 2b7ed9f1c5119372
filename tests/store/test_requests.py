"""Changes with an id are made once, in one transaction with their records; replicas report their state."""

from __future__ import annotations

import threading

import pytest

from callgate.errors import CallgateError
from callgate.store.audit import Change
from callgate.store.database import Domain
from callgate.store.documents import Edit
from callgate.store.model import Actor
from callgate.store.replicas import KEPT_US as REPLICA_KEPT_US
from callgate.store.replicas import ReplicaReport
from callgate.store.requests import KEPT_US, KeptAnswer, RequestKey
from callgate.store.store import Store

NOW = 1_800_000_000_000_000
KEY = RequestKey("ann", "1")
BY = Actor("ann", "here")


def put(store: Store, content: str = "{}") -> KeptAnswer:
    [version] = store.policies.put([Edit("p", content)], BY, "", NOW)
    return KeptAnswer("Put", "d", str(version).encode())


def test_a_repeated_request_changes_nothing(store: Store) -> None:
    first, was_earlier = store.requests.once(KEY, lambda: put(store), Domain.ADMINISTRATION, NOW)
    again, is_earlier = store.requests.once(KEY, lambda: put(store), Domain.ADMINISTRATION, NOW + 1)
    assert (first, was_earlier) == (again, False)
    assert is_earlier
    assert store.policies.get("p").version == 1
    assert store.requests.find(KEY, NOW) == first


def test_an_answer_is_kept_for_a_day(store: Store) -> None:
    store.requests.once(KEY, lambda: put(store), Domain.ADMINISTRATION, NOW)
    assert store.requests.find(KEY, NOW + KEPT_US - 1) is not None
    assert store.requests.find(KEY, NOW + KEPT_US) is None
    _, is_earlier = store.requests.once(KEY, lambda: put(store), Domain.ADMINISTRATION, NOW + KEPT_US)
    assert not is_earlier
    assert store.policies.get("p").version == 2


def test_callers_do_not_meet(store: Store) -> None:
    store.requests.once(KEY, lambda: put(store), Domain.ADMINISTRATION, NOW)
    assert store.requests.find(RequestKey("ben", "1"), NOW) is None


def test_without_an_id_nothing_is_kept(store: Store) -> None:
    for _ in range(2):
        store.requests.once(None, lambda: put(store), Domain.ADMINISTRATION, NOW)
    assert store.policies.get("p").version == 2


def test_a_failure_undoes_all(store: Store) -> None:
    def work() -> KeptAnswer:
        put(store)
        store.audit.add(Change(BY, "other", "policies", "p"), NOW)
        raise CallgateError("no")

    with pytest.raises(CallgateError, match="no"):
        store.requests.once(KEY, work, Domain.ADMINISTRATION, NOW)
    assert store.policies.page() == []
    assert store.audit.page() == []
    assert store.requests.find(KEY, NOW) is None


def test_what_is_written_together_is_read_together(store: Store) -> None:
    def work() -> int:
        store.policies.put([Edit("p", "{}")], BY, "", NOW)
        return store.policies.get("p").version

    assert store.database.together(work, Domain.ADMINISTRATION) == 1


def test_a_lower_domain_joins_and_a_higher_one_does_not(store: Store) -> None:
    def lower() -> int:
        return store.approvals.end_of_grant("g", BY, "revoked", NOW)

    assert store.database.together(lower, Domain.ADMINISTRATION) == 0
    with pytest.raises(AssertionError, match="ADMINISTRATION cannot join"):
        store.database.together(lambda: put(store), Domain.CALLS)


def test_of_requests_at_once_one_is_made(store: Store) -> None:
    answers: list[tuple[KeptAnswer, bool]] = []

    def ask() -> None:
        answers.append(store.requests.once(KEY, lambda: put(store), Domain.ADMINISTRATION, NOW))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(is_earlier for _, is_earlier in answers) == [False] + [True] * 7
    assert store.policies.get("p").version == 1


def report(name: str, seen_us: int) -> ReplicaReport:
    return ReplicaReport(name, "host", NOW, seen_us, None, "{}")


def test_replicas_report(store: Store) -> None:
    store.replicas.report(report("b", NOW))
    store.replicas.report(report("a", NOW))
    store.replicas.report(report("b", NOW + 1))
    assert store.replicas.page() == [report("a", NOW), report("b", NOW + 1)]
    assert store.replicas.page(after="a") == [report("b", NOW + 1)]


def test_a_silent_replica_is_forgotten_after_a_day(store: Store) -> None:
    store.replicas.report(report("a", NOW))
    store.replicas.report(report("b", NOW + REPLICA_KEPT_US))
    assert [one.id for one in store.replicas.page()] == ["b"]
