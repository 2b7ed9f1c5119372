"""`strict` beside envoyproxy/ratelimit: each decision is counted in a Redis before it is answered."""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common import calls, h2load, report
from common.h2load import Sample, Shape
from proxy import contestants, direct, messages, starting
from proxy.contestants import Contestant
from wire.contestants import METHOD

from callgate._proto.callgate.decision.v1 import decision_pb2
from shared import nodes

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

LIMITS = [{"counter": "calls", "window": "1h", "max": 1_000_000_000, "scope": "grant", "shared": "strict"}]
# Wanted beside the peer: of its rate, and of its p99.
RATE, LATENCY = 2.0, 1.0


@dataclass
class Rounds:
    """The results of one server."""

    server: Contestant
    load: h2load.Load
    requests: int = 0
    closed: list[Sample] = field(default_factory=list)
    logged: list[Sample] = field(default_factory=list)


def measure(options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """Rounds in turns under as many calls at once as the connections have streams."""
    shape = Shape(options.connections, options.streams)
    with ExitStack() as stack:
        store = nodes.redis(stack)
        sidecar = nodes.sidecar(stack, folder / "strict", LIMITS, store)
        ours = Contestant("callgate, strict + Redis", sidecar.address, (sidecar, store.program), sidecar)
        servers = [_ours(ours, folder)]
        peer = starting.rate_limit_peer(stack)
        if isinstance(peer, str):
            print(f"not measured, {peer}")
            results.raw["not measured"] = peer
        else:
            servers.append(_theirs(peer, folder))
        for one in servers:
            probe = _run(one, shape, options.probe)
            one.requests = max(options.probe, int(probe.decisions_per_second * options.seconds))
        for number in range(options.rounds):
            print(f"strict, round {number + 1} of {options.rounds}", file=sys.stderr)
            for one in servers:
                one.closed.append(_run(one, shape, one.requests))
                one.logged.append(_run(one, shape, one.requests // 2, logged=True))
    rows = [
        (
            one.server.name,
            round(statistics.median(_rates(one))),
            round(statistics.median(sample.server_cpu_us for sample in one.closed), 1),
            direct.middle(one.logged),
        )
        for one in servers
    ]
    results.table(f"one limit counted in Redis, {shape}", ("", "req/s", "cpu us", "p50/p99/p99.9 us"), rows)
    results.raw["strict"] = {
        one.server.name: {
            "requests_per_second": [round(rate) for rate in _rates(one)],
            "latency_us": [sample.latency_us for sample in one.logged],
        }
        for one in servers
    }
    if len(servers) > 1:
        first, second = servers
        rate = report.ratio(_rates(first), _rates(second))
        results.headline("strict: rate beside ratelimit", rate, "x", at_least=RATE)
        p99 = report.ratio(_p99(first), _p99(second))
        results.headline("strict: p99 beside ratelimit", p99, "x", at_most=LATENCY)


def _rates(one: Rounds) -> list[float]:
    return [sample.decisions_per_second for sample in one.closed]


def _p99(one: Rounds) -> list[float]:
    return [sample.latency_us["p99"] for sample in one.logged]


def _ours(server: Contestant, folder: Path) -> Rounds:
    message = decision_pb2.CheckRequest(
        grant=calls.GRANT, server=nodes.SERVER, tool=nodes.TOOL, args_json=calls.ARGUMENTS[100]
    ).SerializeToString()
    answer = decision_pb2.CheckResponse.FromString(server.ask(METHOD, message))
    if answer.outcome != decision_pb2.OUTCOME_ALLOW:
        sys.exit(f"expected that {server.name} allows the call, not {answer}")
    return _rounds(server, METHOD, message, folder / "strict-body")


def _theirs(server: Contestant, folder: Path) -> Rounds:
    contestants.expect_rate_limit(server, over=False)
    return _rounds(server, messages.RATE_LIMIT, messages.rate_limit(messages.FREE), folder / "ratelimit-body")


def _rounds(server: Contestant, path: str, message: bytes, body: Path) -> Rounds:
    body.write_bytes(messages.frame(message))
    return Rounds(server, server.sent(path, body))


def _run(one: Rounds, shape: Shape, requests: int, *, logged: bool = False) -> Sample:
    sidecar = one.server.sidecar
    before = sidecar.allowed() if sidecar is not None else 0
    sample = h2load.run(one.server.name, one.load, shape, requests, one.server.cpu_seconds, logged=logged)
    if sidecar is not None and (allowed := sidecar.allowed() - before) != requests:
        sys.exit(f"{one.server.name} allowed {allowed} of {requests} calls")
    return sample
