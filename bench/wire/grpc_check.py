"""gRPC `Check` under h2load, beside a bare tonic handler and a grpcio aio handler, in interleaved rounds.

Each server is pinned to core 0 and h2load to core 1. Every contestant gets the same bytes; callgate decides through two
conditions and two limits and the others allow whatever is asked. Before anything is timed each must have answered
`allow`, and after each round callgate's own metrics must have counted one allowed call per request.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import calls
import grpc
import machine

from callgate._proto.callgate.decision.v1 import decision_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = machine.ROOT
METHOD = "/callgate.decision.v1.DecisionService/Check"
SERVER_CORE, LOAD_CORE = "0", "1"
START_SECONDS = 20.0
PROBE_REQUESTS = 3_000
LATENCY_REQUESTS = 20_000
PERCENTILES = (50.0, 99.0, 99.9)


@dataclass(frozen=True)
class Load:
    """How h2load asks."""

    connections: int
    streams: int


@dataclass(frozen=True)
class Round:
    """One h2load run."""

    requests_per_second: float
    server_cpu_us: float


@dataclass
class Contestant:
    """A running server, and what was measured of it."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    metrics: str | None = None
    rounds: list[Round] = field(default_factory=list)
    latency_us: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Requests per second, the median of the rounds."""
        return statistics.median(r.requests_per_second for r in self.rounds)

    def cpu_seconds(self) -> float:
        """CPU time that the server's threads have used so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def allowed(self) -> int | None:
        """Allowed calls by callgate's own count."""
        if self.metrics is None:
            return None
        with urllib.request.urlopen(self.metrics, timeout=5.0) as response:
            text = response.read().decode()
        rows = re.findall(r'^callgate_decisions_total\{[^}]*outcome="allow"[^}]*\} ([\d.e+]+)', text, re.MULTILINE)
        return int(sum(float(row) for row in rows))


@contextmanager
def started(name: str, command: list[str], address: str, metrics: str | None = None) -> Iterator[Contestant]:
    """Starts a contestant on its core and waits until it has allowed one call."""
    # One core, one thread to serve with: callgate says it by `--workers 1`, a plain tokio program is told here.
    environment = {**os.environ, "TOKIO_WORKER_THREADS": "1"}
    pinned = ["taskset", "-c", SERVER_CORE, *command]
    process = subprocess.Popen(pinned, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        with grpc.insecure_channel(address) as channel:
            ask = channel.unary_unary(
                METHOD,
                request_serializer=decision_pb2.CheckRequest.SerializeToString,
                response_deserializer=decision_pb2.CheckResponse.FromString,
            )
            for size in calls.ARGUMENTS:
                answer = ask(calls.request(size), wait_for_ready=True, timeout=START_SECONDS)
                if answer.outcome != decision_pb2.OUTCOME_ALLOW:
                    sys.exit(f"{name} answered {answer}, expected allow")
        yield Contestant(name, address, process, metrics)
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def free_addresses(count: int) -> list[str]:
    """Loopback addresses that nobody listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for listener in listeners:
        listener.close()
    return addresses


def h2load(contestant: Contestant, load: Load, body: Path, requests: int, log: Path | None = None) -> Round:
    """One run of h2load on its core; every request must have succeeded."""
    before, used = contestant.allowed(), contestant.cpu_seconds()
    command = [
        "taskset",
        "-c",
        LOAD_CORE,
        "h2load",
        "-n",
        str(requests),
        "-c",
        str(load.connections),
        "-m",
        str(load.streams),
    ]
    command += ["-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    if log is not None:
        log.unlink(missing_ok=True)
        command.append(f"--log-file={log}")
    done = subprocess.run(
        [*command, f"http://{contestant.address}{METHOD}"], capture_output=True, text=True, check=True
    )
    rate = re.search(r"finished in [\d.]+m?s, ([\d.]+) req/s", done.stdout)
    if rate is None or f" {requests} succeeded, 0 failed, 0 errored" not in done.stdout:
        sys.exit(f"h2load against {contestant.name} went wrong:\n{done.stdout}{done.stderr}")
    after = contestant.allowed()
    if before is not None and after is not None and after - before != requests:
        sys.exit(f"{contestant.name} allowed {after - before} of {requests} calls")
    return Round(float(rate[1]), (contestant.cpu_seconds() - used) / requests * 1e6)


def percentiles(log: Path) -> dict[str, float]:
    """Percentiles of h2load's log: start, status and microseconds of each request."""
    times = sorted(int(row.split()[2]) for row in log.read_text(encoding="utf-8").splitlines())
    return {f"p{p:g}": float(times[min(len(times) - 1, int(len(times) * p / 100))]) for p in PERCENTILES}


def measure(contestants: list[Contestant], size: int, options: argparse.Namespace) -> None:
    """Interleaved rounds for throughput, then one logged run each for latency, loaded and alone."""
    loaded = Load(options.connections, options.streams)
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(calls.grpc_frame(size))
        lengths = {}
        for contestant in contestants:
            probe = h2load(contestant, loaded, body, PROBE_REQUESTS)
            lengths[contestant.name] = max(PROBE_REQUESTS, int(probe.requests_per_second * options.seconds))
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            for contestant in contestants:
                contestant.rounds.append(h2load(contestant, loaded, body, lengths[contestant.name]))
        for contestant in contestants:
            for name, load in (("loaded", loaded), ("alone", Load(1, 1))):
                h2load(contestant, load, body, min(LATENCY_REQUESTS, lengths[contestant.name]), log)
                contestant.latency_us[name] = percentiles(log)


def table(contestants: list[Contestant]) -> str:
    """The results for a reader; ratios compare neighbours of the same round."""
    product = contestants[0]
    rows: list[tuple[str, ...]] = [
        ("", "req/s", "callgate is", "cpu us", "loaded p50/p99/p99.9 us", "alone p50/p99/p99.9 us")
    ]
    for contestant in contestants:
        ratio = statistics.median(
            ours.requests_per_second / theirs.requests_per_second
            for ours, theirs in zip(product.rounds, contestant.rounds, strict=True)
        )
        cpu = statistics.median(r.server_cpu_us for r in contestant.rounds)
        latency = [
            "/".join(f"{us:,.0f}" for us in contestant.latency_us[load].values()) for load in ("loaded", "alone")
        ]
        rows.append((contestant.name, f"{contestant.median:,.0f}", f"{ratio:.2f}x", f"{cpu:.1f}", *latency))
    return "\n".join(f"{a:<11} {b:>9} {c:>12} {d:>7} {e:>24} {f:>24}" for a, b, c, d, e, f in rows)


def run(size: int, options: argparse.Namespace) -> dict[str, object]:
    """Starts everybody, measures and prints one table."""
    programs = Path(sys.executable).parent
    callgate, admin, bare, aio = free_addresses(4)
    with ExitStack() as stack:
        serve = [str(programs / "callgate"), "serve", "--policy", "bench/policy.json", "--workers", "1"]
        serve += ["--listen", callgate, "--admin", admin, "--counters", "memory"]
        floor = [str(options.bare), "--listen", bare]
        handler = [sys.executable, "bench/aio_handler.py", "--listen", aio]
        contestants = [
            stack.enter_context(started("callgate", serve, callgate, f"http://{admin}/metrics")),
            stack.enter_context(started("bare tonic", floor, bare)),
            stack.enter_context(started("grpcio aio", handler, aio)),
        ]
        measure(contestants, size, options)
    print(f"\n{size}-byte arguments, {options.connections} connections x {options.streams} streams")
    print(table(contestants))
    return {
        "arguments_bytes": size,
        "contestants": {
            c.name: {
                "requests_per_second": [round(r.requests_per_second) for r in c.rounds],
                "median": round(c.median),
                "server_cpu_us": [round(r.server_cpu_us, 2) for r in c.rounds],
                "latency_us": c.latency_us,
            }
            for c in contestants
        },
    }


def main() -> None:
    """Measures every size, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--bare", type=Path, default=ROOT / "target/release/callgate-bench-bare")
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/grpc.json")
    options = parser.parse_args()
    if not {int(SERVER_CORE), int(LOAD_CORE)} <= os.sched_getaffinity(0):
        sys.exit("this bench wants two cores: one for the server, one for the load")

    print(machine.line())
    began = time.time()
    tables = [run(size, options) for size in calls.ARGUMENTS]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results = {
        "machine": machine.facts(),
        "unix_time": round(began),
        "load": {name: getattr(options, name) for name in ("rounds", "seconds", "connections", "streams")},
        "tables": tables,
    }
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {os.path.relpath(options.output)}")


if __name__ == "__main__":
    main()
