"""`callgate bench` beside h2load: calls a second of the same bare handler, over TCP and a Unix socket.

A load generator that is slower than its server measures itself. Both have the same core, connections and calls in
flight, and send the same `Check`, in rounds that take turns; what the server pays for a call is the batches in which
a client sends.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from common import programs, report
from common.h2load import Sample, Shape
from wire import contestants, load
from wire.contestants import Contestant, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

# The size of the arguments that `callgate bench` sends here.
SIZE = 100
OURS, PEER = "callgate bench", "h2load"


@contextmanager
def handlers(folder: Path, bare: Path) -> Iterator[list[Contestant]]:
    """The bare handler, over both transports."""
    [address] = programs.free_addresses(1)
    path = str(folder / "bare.sock")
    command = [str(bare), "--listen", address, "--socket", path]
    with programs.started(command, **contestants.ONE_THREAD) as program:
        servers = [
            Contestant("bare tonic", Transport.TCP, address, program, folder),
            Contestant("bare tonic", Transport.SOCKET, path, program, folder),
        ]
        for server in servers:
            server.probe()
        yield servers


def main() -> None:
    """Measures, prints the table and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run")
    parser.add_argument("--probe", type=int, default=3_000, help="requests before the rounds")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--share", type=float, default=0.95, help="calls a second wanted, beside those of h2load")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.probe = 1, 0.3, 500
    programs.two_cores()
    results = report.begin("clients", options)
    shape = Shape(options.connections, options.streams)
    rows: list[tuple[report.Cell, ...]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with handlers(folder, contestants.bare_handler(options.quick)) as servers:
            for server in servers:
                probe = load.h2load(server, shape, SIZE, options.probe, folder)
                requests = max(options.probe, int(probe.decisions_per_second * options.seconds))
                samples: dict[str, list[Sample]] = {PEER: [], OURS: []}
                for _ in range(options.rounds):
                    samples[PEER].append(load.h2load(server, shape, SIZE, requests, folder))
                    ours = load.callgate_bench(server, shape, "check", folder, seconds=options.seconds)
                    samples[OURS].append(ours)
                rates = {client: [s.decisions_per_second for s in of_client] for client, of_client in samples.items()}
                for client, of_client in samples.items():
                    ratio = report.ratio(rates[client], rates[PEER])
                    cpu = statistics.median(s.server_cpu_us for s in of_client)
                    rate = round(statistics.median(rates[client]))
                    rows.append((server.transport.value, client, rate, f"{ratio:.2f}x", round(cpu, 1)))
                ratio = report.ratio(rates[OURS], rates[PEER])
                over = server.transport.value
                results.headline(f"calls/s of callgate bench over {over}, h2load's", ratio, "x", at_least=options.share)
                results.raw[over] = {client: [vars(s) for s in of_client] for client, of_client in samples.items()}
    title = f"Check of {SIZE}-byte arguments at the bare handler, {shape} streams"
    results.table(title, ("over", "", "calls/s", "of h2load", "server cpu us"), rows)
    results.write()


if __name__ == "__main__":
    main()
