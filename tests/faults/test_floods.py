"""A caller that makes a counter of every session id and every argument value: it meets its own cap, nobody else's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from callgate import Client, Engine, Server

CAPACITY, PER_GRANT = 400, 100
WINDOW: dict[str, Any] = {"window": "hour", "max": 5}
POLICY: dict[str, Any] = {
    "version": "1",
    "default": "deny",
    "tools": {
        "by_session": {"limits": [{"counter": "s", "scope": ["grant", "session"], **WINDOW}]},
        "by_value": {"limits": [{"counter": "v", "scope": ["grant", "args.id"], **WINDOW}]},
        "by_grant": {"limits": [{"counter": "g", **WINDOW}]},
    },
}


@pytest.fixture
def client() -> Iterator[Client]:
    engine = Engine.from_dict(POLICY, counter_capacity=CAPACITY, counters_per_grant=PER_GRANT)
    with Server(engine, workers=2) as server, Client(str(server.address), timeout_ms=20_000) as client:
        yield client


@pytest.mark.parametrize("tool", ["by_session", "by_value"])
def test_other_grants_go_on(client: Client, tool: str) -> None:
    def flood(number: int) -> str:
        return client.check(grant="flood", tool=tool, args={"id": number}, session=f"session-{number}").rule

    assert client.check(grant="calm", tool="by_grant").allowed
    rules = [flood(number) for number in range(3 * PER_GRANT)]
    assert rules == [""] * PER_GRANT + ["(counter capacity)"] * 2 * PER_GRANT

    # Counts that are there go on, the flood's own among them, and others may still make new ones.
    assert flood(0) == ""
    assert client.check(grant="calm", tool="by_grant").limits[0].remaining == 3
    assert client.check(grant="late", tool="by_grant").allowed
    assert client.check(grant="late", tool=tool, args={"id": 1}, session="one").allowed


def test_a_cap_in_all_refuses_new_counts_alone(client: Client) -> None:
    assert client.check(grant="calm", tool="by_grant").allowed
    floods = itertools.product(range(CAPACITY // PER_GRANT), range(PER_GRANT))
    rules = [
        client.check(grant=f"flood-{grant}", tool="by_session", session=str(session)).rule for grant, session in floods
    ]
    assert rules == [""] * (CAPACITY - 1) + ["(counter capacity)"]

    denied = client.check(grant="late", tool="by_grant")
    assert (denied.outcome, denied.rule) == ("deny", "(counter capacity)")
    assert client.check(grant="calm", tool="by_grant").allowed
