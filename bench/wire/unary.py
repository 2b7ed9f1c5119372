"""gRPC `Check` under h2load and ghz, beside a bare tonic handler over the same transport and a grpcio aio handler.

Every server is pinned to one core and the load to the other; everybody gets the same bytes, in rounds that take turns.
callgate decides through two conditions and two limits, the others allow whatever they are asked. Each must have
allowed a call before anything is timed, and after each round callgate's own metrics must have counted one allowed call
per request.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from common import calls, programs, report
from common.h2load import Sample, Shape
from wire import contestants, load

if TYPE_CHECKING:
    from wire.contestants import Contestant

LATENCY_REQUESTS = 20_000
GHZ_REQUESTS = 20_000


def measure(
    servers: list[Contestant], size: int, options: argparse.Namespace, folder: Path
) -> tuple[dict[str, list[Sample]], dict[str, dict[str, Sample]]]:
    """Interleaved rounds for throughput, then one logged run each for latency, loaded and alone."""
    loaded = Shape(options.connections, options.streams)
    lengths = {}
    for server in servers:
        probe = load.h2load(server, loaded, size, options.probe, folder)
        lengths[server.title] = max(options.probe, int(probe.decisions_per_second * options.seconds))
    rounds: dict[str, list[Sample]] = {server.title: [] for server in servers}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        for server in servers:
            rounds[server.title].append(load.h2load(server, loaded, size, lengths[server.title], folder))
    latencies: dict[str, dict[str, Sample]] = {server.title: {} for server in servers}
    for server in servers:
        for name, shape in (("loaded", loaded), ("alone", Shape(1, 1))):
            requests = min(LATENCY_REQUESTS, lengths[server.title])
            latencies[server.title][name] = load.h2load(server, shape, size, requests, folder, log=True)
    return rounds, latencies


def by_h2load(
    servers: list[Contestant], size: int, options: argparse.Namespace, folder: Path, results: report.Report
) -> None:
    """One table for one size of arguments."""
    rounds, latencies = measure(servers, size, options, folder)
    rows: list[tuple[report.Cell, ...]] = []
    for server in servers:
        floor = contestants.floor_of(server, servers)
        ours, theirs = rounds[server.title], rounds[floor.title]
        ratio = report.ratio([s.decisions_per_second for s in ours], [s.decisions_per_second for s in theirs])
        cpu = statistics.median(s.server_cpu_us for s in ours)
        shown = [
            "/".join(f"{us:,.0f}" for us in latencies[server.title][name].latency_us.values())
            for name in ("loaded", "alone")
        ]
        rate = statistics.median(s.decisions_per_second for s in ours)
        rows.append((server.title, round(rate), f"{ratio:.2f}x", round(cpu, 1), *shown))
        if server.sidecar is not None:
            target = options.floor_share
            results.headline(
                f"h2load, Check over {server.transport.value}, {size} bytes, beside bare", ratio, "x", at_least=target
            )
    columns = ("", "req/s", "of bare", "cpu us", "loaded p50/p99/p99.9 us", "alone p50/p99/p99.9 us")
    title = f"h2load, Check, {size}-byte arguments, {options.connections} connections x {options.streams} streams"
    results.table(title, columns, rows)
    results.raw[f"h2load, {size} bytes"] = {
        server.title: {
            "requests_per_second": [round(s.decisions_per_second) for s in rounds[server.title]],
            "server_cpu_us": [round(s.server_cpu_us, 2) for s in rounds[server.title]],
            "latency_us": {name: sample.latency_us for name, sample in latencies[server.title].items()},
        }
        for server in servers
    }


def by_ghz(servers: list[Contestant], options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """A second opinion from a client of another make."""
    if not load.GHZ.exists():
        print("\nghz: not measured, `make bench-tools` builds it where Go is installed")
        return
    shape = Shape(options.connections, options.streams)
    samples: dict[str, list[Sample]] = {server.title: [] for server in servers}
    requests = options.probe if options.quick else GHZ_REQUESTS
    for _ in range(options.rounds):
        for server in servers:
            samples[server.title].append(load.ghz(server, shape, 100, requests, folder))
    rows: list[tuple[report.Cell, ...]] = []
    for server in servers:
        of_server = samples[server.title]
        rate = statistics.median(s.decisions_per_second for s in of_server)
        cpu = statistics.median(s.server_cpu_us for s in of_server)
        middle = [statistics.median(s.latency_us[name] for s in of_server) for name in of_server[0].latency_us]
        rows.append((server.title, round(rate), round(cpu, 1), *map(round, middle)))
    title = "ghz, Check, 100-byte arguments (ghz is the slower side: see its latencies, not its rate)"
    results.table(title, ("", "req/s", "cpu us", "p50 us", "p99 us", "p99.9 us"), rows)
    results.raw["ghz"] = {title: [vars(sample) for sample in of_server] for title, of_server in samples.items()}


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    parser.add_argument("--probe", type=int, default=3_000, help="requests before the rounds")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--floor-share", type=float, default=0.85, help="throughput wanted, beside the bare handler's")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.probe = 1, 0.05, 500
    programs.two_cores()
    results = report.begin("grpc", options)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        servers = contestants.started(stack, folder, contestants.bare_handler(options.quick), aio=True)
        for size in calls.ARGUMENTS:
            by_h2load(servers, size, options, folder, results)
        by_ghz([server for server in servers if server.name != "grpcio aio"], options, folder, results)
    results.write()


if __name__ == "__main__":
    main()
