"""Shared limits of calls that are reserved, come in batches and streams, wait for people, or come by other doors."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from callgate import AsyncClient, Call
from support.planes import wait_until
from support.program import TIMEOUT_S, run
from support.shared import PATIENCE_MS, UNAVAILABLE, Fleet, Node, fleet, limit, policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from callgate import Decision

SHARINGS = ("leased", "strict")
ASKS = {"action": "require_approval"}


def asking(name: str) -> dict[str, Any]:
    """Tools that ask a person, and tools of the same counts that ask nobody."""
    counts = {sharing: limit(f"{name}-{sharing}", 3, shared=sharing) for sharing in SHARINGS}
    of_each = {f"{name}_{sharing}": [count] for sharing, count in counts.items()}
    return {name: {**ASKS, "limits": list(counts.values())}, **of_each}


POLICIES = {
    "s": policy(
        "calls",
        reserved_leased=[limit("reserved-leased", 3, shared="leased")],
        reserved_strict=[limit("reserved-strict", 3, shared="strict")],
        late=[limit("late", 3, shared="leased")],
        kept_leased=[limit("kept-leased", 2, shared="leased")],
        kept_strict=[limit("kept-strict", 2, shared="strict")],
        **{f"{way}": [limit(way, 6, shared="strict")] for way in ("batch", "stream", "async_batch", "async_stream")},
        never={"action": "deny"},
        http=[limit("http", 2, shared="strict")],
        **asking("approved"),
        **asking("denied"),
    ),
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("calls"), POLICIES) as made:
        yield made


def reserve(one: Node, tool: str) -> str:
    """The id of a reservation."""
    decision = one.check(tool, reserve=True)
    assert decision.outcome == "allow", decision
    assert decision.reservation is not None
    return decision.reservation


@pytest.mark.parametrize("sharing", SHARINGS)
def test_units_that_are_rolled_back_are_for_everybody(two: Fleet, sharing: str) -> None:
    first, second = two.nodes
    tool = f"reserved_{sharing}"
    reservation = reserve(first, tool)
    assert first.admitted(3, tool) == 2
    assert second.admitted(3, tool) == 0
    assert first.client.roll_back(reservation)
    wait_until(lambda: second.admits(tool))
    assert not first.client.roll_back(reservation)
    assert (first.admitted(3, tool), second.admitted(3, tool)) == (0, 0)


def test_units_that_are_rolled_back_late_are_for_everybody(two: Fleet) -> None:
    first, second = two.nodes
    reservations = [reserve(first, "late") for _ in range(3)]
    # Counts that nobody uses are removed meanwhile.
    time.sleep(2.5)
    assert first.client.roll_back(reservations[0])
    wait_until(lambda: second.admits("late"))
    assert (first.admitted(3, "late"), second.admitted(3, "late")) == (0, 0)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_units_that_are_committed_stay_taken(two: Fleet, sharing: str) -> None:
    first, second = two.nodes
    tool = f"kept_{sharing}"
    reservations = [reserve(first, tool) for _ in range(2)]
    assert all(first.client.commit(reservation) for reservation in reservations)
    assert not first.client.roll_back(reservations[0])
    # Time in which a share would be given back.
    assert (second.admitted(3, tool), first.admitted(3, tool)) == (0, 0)


def calls(tool: str) -> list[Call]:
    """Ten calls of a limit of 6, and others between them."""
    return [Call(tool=name, server="s", grant="g") for _ in range(10) for name in (tool, "free", "never")]


def check_order(decisions: list[Decision], tool: str) -> None:
    """Six of the ten calls are allowed, and each decision stands where its call stood."""
    outcomes = [str(decision.outcome) for decision in decisions]
    assert outcomes[0::3] == ["allow"] * 6 + ["rate_limited"] * 4
    assert outcomes[1::3] == ["allow"] * 10
    assert outcomes[2::3] == ["deny"] * 10
    assert {decision.rule for decision in decisions[18::3]} == {f"/tools/{tool}/limits/{tool}"}
    assert [decision.limits[0].remaining for decision in decisions[0:18:3]] == [5, 4, 3, 2, 1, 0]
    assert not any(decision.limits for decision in decisions[1::3])


def test_a_batch(two: Fleet) -> None:
    first, second = two.nodes
    check_order(first.client.check_batch(calls("batch")), "batch")
    assert second.admitted(2, "batch") == 0


def test_a_stream(two: Fleet) -> None:
    first, second = two.nodes
    check_order(list(first.client.check_stream(calls("stream"))), "stream")
    assert second.admitted(2, "stream") == 0


def test_batches_and_streams_of_asyncio(two: Fleet) -> None:
    first, _ = two.nodes

    async def ask() -> None:
        async with AsyncClient(first.running.address, timeout_ms=PATIENCE_MS) as client:
            check_order(await client.check_batch(calls("async_batch")), "async_batch")
            streamed = [decision async for decision in client.check_stream(calls("async_stream"))]
            check_order(streamed, "async_stream")

    asyncio.run(ask())


def answer(one: Node, verb: str, decision: Decision) -> None:
    """A person answers for a call that waits."""
    assert decision.outcome == "approval_required", decision
    assert decision.approval is not None
    done = run("approvals", verb, decision.approval, "--state", one.folder / "state", "--yes")
    assert done.code == 0, done


def left(two: Fleet, tool: str) -> int:
    """The units that the nodes still get of a count of which at most 3 are left."""
    return sum(each.admitted(4, tool) for each in two.nodes)


def test_an_approved_call_takes_its_units_once(two: Fleet) -> None:
    first, second = two.nodes
    first.wait_for_approvals()
    waiting = first.check("approved")
    # It holds none meanwhile.
    assert first.check("approved").approval == waiting.approval
    answer(first, "approve", waiting)
    wait_until(lambda: first.check("approved").outcome == "allow")
    assert first.check("approved").outcome == "approval_required"
    assert second.admitted(4, "approved_strict") == 2
    assert first.admitted(4, "approved_leased") == 2
    assert (left(two, "approved_strict"), left(two, "approved_leased")) == (0, 0)


def test_a_denied_call_takes_none(two: Fleet) -> None:
    first, second = two.nodes
    first.wait_for_approvals()
    answer(first, "deny", first.check("denied"))
    wait_until(lambda: first.check("denied").outcome == "deny")
    assert second.admitted(4, "denied_strict") == 3
    assert second.admitted(4, "denied_leased") == 3


@dataclass(frozen=True)
class Answer:
    """An answer of `POST /v1/check`."""

    status: int
    headers: dict[str, str]
    decision: dict[str, Any]


def post(one: Node, tool: str) -> Answer:
    """Asks over HTTP."""
    connection = http.client.HTTPConnection(one.running.address, timeout=TIMEOUT_S)
    try:
        body = json.dumps({"tool": tool, "server": "s", "grant": "g"})
        connection.request("POST", "/v1/check", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, json.loads(response.read()))
    finally:
        connection.close()


def test_http(two: Fleet) -> None:
    first, second = two.nodes
    assert [post(each, "http").status for each in (first, second)] == [200, 200]
    for each in (first, second):
        refused = post(each, "http")
        assert refused.status == 429
        assert 3_400 < int(refused.headers["retry-after"]) <= 3_600
        assert refused.decision["rule"] == "/tools/http/limits/http"


def test_http_without_a_store(tmp_path: Path) -> None:
    with fleet(tmp_path, POLICIES, nodes=1) as made:
        [one] = made.nodes
        made.redis.kill()
        denied = post(one, "http")
        assert (denied.status, denied.decision["rule"]) == (403, UNAVAILABLE)
        assert "retry-after" not in denied.headers
        assert post(one, "free").status == 200
