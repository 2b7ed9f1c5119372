"""`tools/call` through the gateway beside the server itself, nginx and Envoy as plain proxies; memory of streams."""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from common import programs, report
from common.h2load import Shape
from common.proxies import ENVOY, NGINX
from mcp_gateway import starting, streams
from mcp_gateway.ways import CALLGATE, DIRECT, FLOOR, Way
from proxy import direct, messages

ALONE, MANY = Shape(1, 1), Shape(32, 1)
# Targets: the added latency in parts of nginx', rates in parts of others', and memory of one stream.
ADDED = 1.15
RATES = {ENVOY: 1.0, FLOOR: 0.95}
STREAM_KIB = 40
KIB = 1024
MIB = 1024 * KIB
# In no registry that we can build it from.
ABSENT = ["PolicyLayer Intercept: its Go module is not served by the module proxy"]


def measure(ways: list[Way], options: argparse.Namespace, folder: Path) -> None:
    """Interleaved rounds, each as long for all."""
    body = folder / "call"
    body.write_bytes(messages.call())
    rates = {}
    for way in ways:
        way.expect()
        rates[way.name] = [way.load(body, shape, options.probe).decisions_per_second for shape in (MANY, ALONE)]
    for number in range(options.rounds):
        print(f"calls, round {number + 1} of {options.rounds}", file=sys.stderr)
        for way in ways:
            many, alone = (max(options.probe, int(rate * options.seconds)) for rate in rates[way.name])
            way.many.append(way.load(body, MANY, many))
            way.alone.append(way.load(body, ALONE, alone // 2, logged=True))
    for way in ways:
        way.expect()


def told(ways: list[Way], results: report.Report) -> None:
    """The table, and callgate beside the plain proxies."""
    by_name = {way.name: way for way in ways}
    base = by_name[DIRECT].p50()
    # Neighbours of one round, like ratios: what else the machine does falls on both.
    added = {way.name: [through - without for through, without in zip(way.p50(), base, strict=True)] for way in ways}
    rows: list[tuple[report.Cell, ...]] = [
        (
            way.name,
            round(statistics.median(way.rates())),
            round(statistics.median(sample.server_cpu_us for sample in way.many), 1),
            direct.middle(way.alone),
            round(statistics.median(added[way.name]), 1),
        )
        for way in ways
    ]
    columns = ("", "req/s", "cpu us", "alone p50/p99/p99.9 us", "adds us at p50")
    results.table(f"tools/call of 1 KiB, echoed, HTTP/1.1: {MANY}, and alone", columns, rows)
    for name in (NGINX, ENVOY, FLOOR):
        share = report.ratio(added[CALLGATE], added[name])
        results.headline(f"latency added beside {name}", share, "x", at_most=ADDED if name == NGINX else None)
        rate = report.ratio(by_name[CALLGATE].rates(), by_name[name].rates())
        results.headline(f"rate beside {name}", rate, "x", at_least=RATES.get(name))
    results.raw["calls"] = {
        way.name: {
            "requests_per_second": [round(rate) for rate in way.rates()],
            "alone_latency_us": [sample.latency_us for sample in way.alone],
        }
        for way in ways
    }


def open_streams(ways: list[Way], count: int, results: report.Report) -> None:
    """Resident memory with so many streams."""
    rows = []
    for way in ways:
        if way.name != DIRECT:
            idle, busy = streams.resident_bytes(way, count)
            rows.append((way.name, round(idle / MIB, 1), round(busy / MIB, 1), round((busy - idle) / count / KIB, 1)))
            if way.name == CALLGATE:
                results.headline(f"resident with {count:,} streams", busy / MIB, "MiB")
                each = (busy - idle) / count / KIB
                results.headline(f"of it each of {count:,} streams", each, "KiB", at_most=STREAM_KIB)
    results.table(f"{count:,} streams of events open", ("", "before MiB", "MiB", "KiB each"), rows)


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one round for one way")
    parser.add_argument("--probe", type=int, default=2_000, help="calls before the rounds")
    parser.add_argument("--streams", type=int, default=1_000)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.probe, options.streams = 1, 0.05, 300, 20
    programs.two_cores()
    # Every stream is two connections of whoever stands between.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results = report.begin("gateway", options)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        ways = starting.ways(stack, folder, quick=options.quick)
        measure(ways, options, folder)
        told(ways, results)
        open_streams(ways, options.streams, results)
    results.raw["not measured"] = ABSENT
    results.write()


if __name__ == "__main__":
    main()
