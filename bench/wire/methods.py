"""`Check`, `CheckBatch` and `CheckStream` over TCP, TLS and a Unix socket, beside the bare handler over the same.

`callgate bench` is the load: a closed loop for throughput, then a fixed rate, the same for both, for latencies that
leave nothing out. Every answer must be an allow, and callgate's own metrics must have counted it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from common import programs, report
from common.h2load import Sample, Shape
from wire import contestants, load
from wire.contestants import Transport

METHODS = ("check", "batch", "stream")
NAMES = {"check": "Check", "batch": "CheckBatch", "stream": "CheckStream"}
# Decisions a second over TCP that are wanted of one core.
LEAST = {"batch": 900_000.0, "stream": 500_000.0}


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=16, help="requests in flight on each connection")
    parser.add_argument("--batch", type=int, default=64, help="calls of one batch")
    parser.add_argument("--rate", type=float, default=10_000, help="decisions per second of the latency runs")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.rate = 1, 0.3, 1_000
    programs.two_cores()
    results = report.begin("methods", options)
    shape = Shape(options.connections, options.streams)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        servers = contestants.started(stack, folder, contestants.bare_handler(options.quick), aio=False)
        for method in METHODS:
            closed: dict[str, list[Sample]] = {server.title: [] for server in servers}
            fixed: dict[str, list[Sample]] = {server.title: [] for server in servers}
            # A batch is one request of many decisions.
            rate = options.rate / options.batch if method == "batch" else options.rate
            for number in range(options.rounds):
                print(f"{NAMES[method]}, round {number + 1} of {options.rounds}", file=sys.stderr)
                for server in servers:
                    run = {"seconds": options.seconds, "batch": options.batch}
                    closed[server.title].append(load.callgate_bench(server, shape, method, folder, **run))
                    fixed[server.title].append(load.callgate_bench(server, shape, method, folder, **run, rate=rate))
            rows: list[tuple[report.Cell, ...]] = []
            for server in servers:
                floor = contestants.floor_of(server, servers)
                ours, theirs = closed[server.title], closed[floor.title]
                ratio = report.ratio([s.decisions_per_second for s in ours], [s.decisions_per_second for s in theirs])
                rows.append(
                    (
                        server.title,
                        round(statistics.median(s.decisions_per_second for s in ours)),
                        f"{ratio:.2f}x",
                        round(statistics.median(s.server_cpu_us for s in ours), 2),
                        _latencies(ours),
                        _latencies(fixed[server.title]),
                    )
                )
                if server.sidecar is not None:
                    title = f"{NAMES[method]} over {server.transport.value}"
                    least = LEAST.get(method) if server.transport is Transport.TCP else None
                    rate = float(rows[-1][1] or 0)
                    results.headline(f"{title}, decisions per second", rate, "/s", at_least=least)
                    results.headline(f"{title}, beside bare", ratio, "x")
            many = f" of {options.batch}" if method == "batch" else ""
            columns = ("", "decisions/s", "of bare", "cpu us", "closed p50/p99/p99.9 us", "fixed p50/p99/p99.9 us")
            results.table(
                f"{NAMES[method]}{many}, {shape.connections} connections x {shape.streams} in flight", columns, rows
            )
            results.raw[NAMES[method]] = {
                title: {"closed": [vars(s) for s in closed[title]], "fixed": [vars(s) for s in fixed[title]]}
                for title in closed
            }
    results.write()


def _latencies(samples: list[Sample]) -> str:
    """The percentiles, each the median of the rounds."""
    return "/".join(f"{statistics.median(s.latency_us[name] for s in samples):,.0f}" for name in samples[0].latency_us)


if __name__ == "__main__":
    main()
