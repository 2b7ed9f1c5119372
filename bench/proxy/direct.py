"""Rounds that take turns, and what is said of them: throughput, latency under the same load, latency alone."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common import h2load, report
from common.h2load import Sample, Shape
from proxy import messages
from proxy.contestants import (
    BARE,
    CALLGATE,
    LIMITADOR,
    LIMITADOR_LIBRARY,
    OPA,
    OPA_LIBRARY,
    RATELIMIT,
    has_targets,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from proxy.contestants import Contestant

ALONE = Shape(1, 1)
# The rate wanted beside each peer's, and the p99.
LATENCY = 1.0
RATES = {LIMITADOR: 1.8, LIMITADOR_LIBRARY: 1.8, RATELIMIT: 5.0, OPA: 5.0, OPA_LIBRARY: 5.0}


@dataclass(frozen=True)
class Question:
    """One message that all are asked."""

    title: str
    path: str
    message: bytes
    # Ends the bench where an answer is not as it must be.
    expect: Callable[[Contestant], None]
    # How many such answers callgate counts itself.
    counted: Callable[[Contestant], int]


@dataclass
class Rounds:
    """The results of one server."""

    closed: list[Sample] = field(default_factory=list)
    loaded: list[Sample] = field(default_factory=list)
    alone: list[Sample] = field(default_factory=list)

    def rates(self) -> list[float]:
        """Requests per second of each round."""
        return [sample.decisions_per_second for sample in self.closed]

    def p99(self) -> list[float]:
        """Of each round, under load."""
        return [sample.latency_us["p99"] for sample in self.loaded]


def compare(
    servers: list[Contestant], question: Question, options: argparse.Namespace, folder: Path, results: report.Report
) -> None:
    """Measures, and puts callgate beside everybody else."""
    rounds = measure(servers, question, options, folder)
    ours = rounds[CALLGATE]
    rows: list[tuple[report.Cell, ...]] = []
    for server in servers:
        theirs = rounds[server.name]
        rows.append(
            (
                server.name,
                round(statistics.median(theirs.rates())),
                f"{report.ratio(ours.rates(), theirs.rates()):.2f}x",
                round(statistics.median(sample.server_cpu_us for sample in theirs.closed), 1),
                middle(theirs.loaded),
                middle(theirs.alone),
            )
        )
    columns = ("", "req/s", "callgate beside", "cpu us", "loaded p50/p99/p99.9 us", "alone p50/p99/p99.9 us")
    results.table(f"{question.title}, {Shape(options.connections, options.streams)}", columns, rows)
    headlines(question, rounds, options.floor_share, results)
    results.raw[question.title] = {
        name: {
            "requests_per_second": [round(rate) for rate in of_server.rates()],
            "server_cpu_us": [round(sample.server_cpu_us, 2) for sample in of_server.closed],
            "loaded_latency_us": [sample.latency_us for sample in of_server.loaded],
            "alone_latency_us": [sample.latency_us for sample in of_server.alone],
        }
        for name, of_server in rounds.items()
    }


def headlines(question: Question, rounds: dict[str, Rounds], floor_share: float, results: report.Report) -> None:
    """callgate beside everybody else."""
    ours = rounds[CALLGATE]
    for name, theirs in rounds.items():
        if name == CALLGATE:
            continue
        rate = report.ratio(ours.rates(), theirs.rates())
        if name == BARE:
            results.headline(f"{question.title}: rate beside {name}", rate, "x", at_least=floor_share)
            continue
        judged, p99 = has_targets(name, rounds), report.ratio(ours.p99(), theirs.p99())
        at_least, at_most = (RATES[name], LATENCY) if judged else (None, None)
        results.headline(f"{question.title}: rate beside {name}", rate, "x", at_least=at_least)
        results.headline(f"{question.title}: p99 beside {name}", p99, "x", at_most=at_most)


def measure(
    servers: list[Contestant], question: Question, options: argparse.Namespace, folder: Path
) -> dict[str, Rounds]:
    """Interleaved rounds; each is as long for all, whatever they get done in it."""
    body = folder / "body"
    body.write_bytes(messages.frame(question.message))
    loaded = Shape(options.connections, options.streams)

    def ask(server: Contestant, shape: Shape, seconds: float, rate: float, *, logged: bool) -> Sample:
        requests = max(options.probe, int(rate * seconds))
        before = question.counted(server)
        sent = server.sent(question.path, body)
        sample = h2load.run(server.name, sent, shape, requests, server.cpu_seconds, logged=logged)
        counted = question.counted(server) - before
        if server.sidecar is not None and counted != requests:
            sys.exit(f"{server.name} counted {counted} such answers, {requests} came")
        question.expect(server)
        return sample

    rates = {}
    for server in servers:
        question.expect(server)
        probes = [ask(server, shape, 0, 0, logged=False).decisions_per_second for shape in (loaded, ALONE)]
        rates[server.name] = probes
    rounds = {server.name: Rounds() for server in servers}
    for number in range(options.rounds):
        print(f"{question.title}, round {number + 1} of {options.rounds}", file=sys.stderr)
        for server in servers:
            (many, few), kept = rates[server.name], rounds[server.name]
            kept.closed.append(ask(server, loaded, options.seconds, many, logged=False))
            kept.loaded.append(ask(server, loaded, options.seconds / 2, many, logged=True))
            kept.alone.append(ask(server, ALONE, options.seconds / 4, few, logged=True))
    return rounds


def middle(samples: list[Sample]) -> str:
    """The percentiles, each the median of the rounds."""
    return "/".join(f"{statistics.median(s.latency_us[name] for s in samples):,.0f}" for name in samples[0].latency_us)
