"""The time until a sidecar obeys a change that somebody else wrote into its store: freezes, and revoked grants.

This process writes, as another replica or a command does. From then on the sidecar is asked without a pause, until its
answer is the new one. The change back is timed as well.
"""

from __future__ import annotations

import json
import secrets
import statistics
import sys
import time
from typing import TYPE_CHECKING

import grpc
from common import calls, report
from control.filled import SERVER, grant_id

from callgate._proto.callgate.decision.v1 import decision_pb2
from callgate.store.documents import Edit
from callgate.store.ids import ID_BYTES, make_id
from callgate.store.targets import Target
from control import world as worlds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from common.report import Report
    from control.world import World

    from callgate.store.store import Store

WITHIN_MS = 2_000.0
_GIVEN_UP_SECONDS = 60.0
_ROUNDS = 25


def measure(results: Report, databases: Mapping[str, Sequence[World]], options: argparse.Namespace) -> None:
    """Measures the largest world of each database; adds the table and the headlines."""
    rows: list[tuple[report.Cell, ...]] = []
    for database, sizes in databases.items():
        times = _times(sizes[-1], 2 if options.quick else _ROUNDS)
        for name, values in times.items():
            rows.append((database, name, round(statistics.median(values)), round(max(values))))
        slowest = max(max(values) for values in times.values())
        results.headline(f"{database}, the slowest change until it is obeyed", slowest, "ms", at_most=WITHIN_MS)
        results.raw[f"obeyed, {database}"] = {
            name: [round(value, 1) for value in values] for name, values in times.items()
        }
    results.table("from a change in the store until a sidecar obeys it", ("store", "change", "p50 ms", "max ms"), rows)


def _times(world: World, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each change."""
    store = world.open()
    with worlds.serving(world) as sidecar, grpc.insecure_channel(sidecar.address) as channel:
        worlds.wait_for_store(sidecar)
        worlds.wait_for_grants(sidecar, world)
        check = channel.unary_unary(
            worlds.METHOD,
            request_serializer=decision_pb2.CheckRequest.SerializeToString,
            response_deserializer=decision_pb2.CheckResponse.FromString,
        )
        request = decision_pb2.CheckRequest(
            grant_token=world.grant_token, server=SERVER, tool=calls.TOOL, args_json=calls.ARGUMENTS[310]
        )

        def rule() -> str:
            return str(check(request, timeout=_GIVEN_UP_SECONDS).rule)

        times: dict[str, list[float]] = {}
        if rule():
            sys.exit(f"{world.title}: expected an allowed call, got {rule()}")
        for _ in range(rounds):
            for name, change, expected in _changes(store, grant_id(world.size.grants - 1)):
                change()
                times.setdefault(name, []).append(_until(rule, expected))
    store.close()
    return times


def _changes(store: Store, grant: str) -> list[tuple[str, Callable[[], object], str]]:
    """Each change, and the rule of a call that obeys it."""
    name = make_id(secrets.token_bytes(ID_BYTES))
    document = json.loads(store.grants.get(grant).content or "{}")

    def put(*, revoked: bool) -> None:
        store.grants.put([Edit(grant, json.dumps({**document, "revoked": revoked}))], worlds.BY, "bench", _now_us())

    return [
        ("freeze", lambda: store.freezes.freeze(name, Target(grant=grant), "bench", worlds.BY, _now_us()), "(frozen)"),
        ("thaw", lambda: store.freezes.thaw(name, worlds.BY, "bench", _now_us()), ""),
        ("revoke a grant", lambda: put(revoked=True), "(grant revoked)"),
        ("admit it again", lambda: put(revoked=False), ""),
    ]


def _until(rule: Callable[[], str], expected: str) -> float:
    """Milliseconds until the sidecar answers with a rule."""
    began = time.perf_counter()
    while rule() != expected:
        if time.perf_counter() - began > _GIVEN_UP_SECONDS:
            sys.exit(f"a change was not obeyed within {_GIVEN_UP_SECONDS:g} s")
    return (time.perf_counter() - began) * 1e3


def _now_us() -> int:
    return time.time_ns() // 1_000
