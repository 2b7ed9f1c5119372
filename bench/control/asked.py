"""A call that people have approved: the latency of the call that uses the approval, beside two syncs of its disk.

Each round asks, approves, and makes the same call again, which is timed. Two writes of 4 KiB to a file beside the
store, each synced, are timed in the same round, before it or after it in turns. So are a call that needs nobody, and
with PostgreSQL a transaction that writes one row.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import grpc
from common import calls, report
from control.filled import SERVER

from callgate._proto.callgate.decision.v1 import decision_pb2
from callgate.store.approvals.answer import Answer
from callgate.store.model import Person, Verdict
from control import world as worlds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from common.postgres import Postgres
    from common.report import Report
    from control.world import World

_Result = TypeVar("_Result")
BEYOND_SYNCS_MS = {worlds.SQLITE: 2.0, worlds.POSTGRESQL: 10.0}
TOOL = "refund_charge"
BLOCK = b"\x5a" * 4096
USED, ASKED, PLAIN, SYNCS, WRITE = "uses an approval", "asks for it", "needs none", "two syncs", "one written row"
_TIMEOUT_SECONDS = 20.0
_ANSWER = Answer(Person("local", "ann"), frozenset({"ops"}), Verdict.APPROVE, "127.0.0.1")


def measure(
    results: Report, databases: Mapping[str, Sequence[World]], postgres: Postgres, options: argparse.Namespace
) -> None:
    """Measures the largest world of each database; adds the table and the headlines."""
    rows: list[tuple[report.Cell, ...]] = []
    for database, sizes in databases.items():
        server = postgres if database == worlds.POSTGRESQL else None
        times = _times(sizes[-1], server, options.calls)
        middle = {name: statistics.median(values) * 1e3 for name, values in times.items()}
        for name, values in times.items():
            high = report.percentile(sorted(values), 99) * 1e3
            rows.append((database, name, round(middle[name], 2), round(high, 2)))
        beyond = middle[USED] - middle[SYNCS]
        limit = BEYOND_SYNCS_MS[database]
        results.headline(f"{database}, an approved call beyond two syncs, p50", beyond, "ms", at_most=limit)
        results.headline(f"{database}, an approved call, p50", middle[USED], "ms")
        results.raw[f"asked, {database}"] = {
            name: [round(value * 1e3, 3) for value in values] for name, values in times.items()
        }
    results.table("an approved call", ("store", "a call that", "p50 ms", "p99 ms"), rows)


def _times(world: World, postgres: Postgres | None, rounds: int) -> dict[str, list[float]]:
    """Seconds of each subject; they take turns."""
    store = world.open()
    folder = world.folder if postgres is None else postgres.folder
    with (
        worlds.serving(world) as sidecar,
        grpc.insecure_channel(sidecar.address) as channel,
        _two_syncs(folder) as sync,
    ):
        worlds.wait_for_store(sidecar)
        # Reading a million of them for the first time takes a minute of the interpreter that answers calls.
        worlds.wait_for_grants(sidecar, world)
        check = channel.unary_unary(
            worlds.METHOD,
            request_serializer=decision_pb2.CheckRequest.SerializeToString,
            response_deserializer=decision_pb2.CheckResponse.FromString,
        )

        def ask(request: decision_pb2.CheckRequest) -> decision_pb2.CheckResponse:
            answer: decision_pb2.CheckResponse = check(request, timeout=_TIMEOUT_SECONDS)
            return answer

        plain = decision_pb2.CheckRequest(
            grant_token=world.file_token, server=SERVER, tool=calls.TOOL, args_json=calls.ARGUMENTS[310]
        )
        beside: dict[str, Callable[[], object]] = {PLAIN: lambda: ask(plain), SYNCS: sync}
        if postgres is not None:
            connection = postgres.connect()
            connection.execute("CREATE TABLE IF NOT EXISTS beside (id int PRIMARY KEY, number int)")
            connection.execute("INSERT INTO beside VALUES (1, 0) ON CONFLICT DO NOTHING")
            beside[WRITE] = lambda: connection.execute("UPDATE beside SET number = number + 1")
        times: dict[str, list[float]] = {name: [] for name in (USED, ASKED, *beside)}
        for number in range(rounds):
            request = decision_pb2.CheckRequest(
                grant_token=world.file_token, server=SERVER, tool=TOOL, args_json=b'{"charge":"ch_%d"}' % number
            )
            asked, took = _timed(partial(ask, request))
            times[ASKED].append(took)
            if asked.outcome != decision_pb2.OUTCOME_APPROVAL_REQUIRED:
                sys.exit(f"{world.title}: expected that people are asked, got {asked}")
            store.approvals.answer(asked.approval, _ANSWER, time.time_ns() // 1_000)
            turns = [USED, *beside] if number % 2 else [*beside, USED]
            for name in turns:
                if name != USED:
                    times[name].append(_timed(beside[name])[1])
                    continue
                answer, took = _timed(partial(ask, request))
                times[USED].append(took)
                if answer.outcome != decision_pb2.OUTCOME_ALLOW:
                    sys.exit(f"{world.title}: the approved call was refused: {answer}")
    store.close()
    return times


def _timed(work: Callable[[], _Result]) -> tuple[_Result, float]:
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


@contextmanager
def _two_syncs(folder: Path) -> Iterator[Callable[[], None]]:
    """Writes a block and syncs it, twice, at the end of a file that grows as a log does."""
    path = folder / "syncs"
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def sync() -> None:
        for _ in range(2):
            os.write(file, BLOCK)
            os.fsync(file)

    try:
        yield sync
    finally:
        os.close(file)
        path.unlink()
