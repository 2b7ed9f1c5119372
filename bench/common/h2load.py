"""h2load: sends the same bytes over and over, from the core of the load; every request must have succeeded."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from common import machine, programs, report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PERCENTILES = (50.0, 99.0, 99.9)
GRPC = {"content-type": "application/grpc", "te": "trailers"}


@dataclass(frozen=True)
class Shape:
    """The number of connections, and of requests in flight on each."""

    connections: int
    streams: int

    def __str__(self) -> str:
        return f"{self.connections} connections x {self.streams}"


@dataclass(frozen=True)
class Sample:
    """One run against one server."""

    decisions_per_second: float
    server_cpu_us: float
    latency_us: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """The request and its destination: an HTTP/2 URL, or an HTTP/1.1 one on request."""

    url: str
    body: Path
    headers: Mapping[str, str]
    # Goes before the URL's own place, for a Unix socket.
    base: str | None = None
    http1: bool = False


def run(
    title: str,
    load: Load,
    shape: Shape,
    requests: int,
    cpu_seconds: Callable[[], float],
    *,
    logged: bool = False,
) -> Sample:
    """One run; latencies where they are asked for, because logging costs throughput."""
    # A folder of its own: callgate is told of every line that is written where its configuration is.
    with tempfile.TemporaryDirectory() as folder:
        return _run(title, load, shape, requests, cpu_seconds, Path(folder) / "h2load.log" if logged else None)


def _run(
    title: str,
    load: Load,
    shape: Shape,
    requests: int,
    cpu_seconds: Callable[[], float],
    log: Path | None,
) -> Sample:
    command = ["taskset", "-c", programs.LOAD_CORE, "h2load", "-d", str(load.body)]
    command += ["-n", str(requests), "-c", str(shape.connections), "-m", str(shape.streams)]
    for name, value in load.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["--h1"] if load.http1 else []
    command += [f"--log-file={log}"] if log is not None else []
    command += [f"--base-uri={load.base}"] if load.base is not None else []
    used = cpu_seconds()
    done = subprocess.run([*command, load.url], cwd=machine.ROOT, capture_output=True, text=True, check=False)
    cpu_us = (cpu_seconds() - used) / requests * 1e6
    said = done.stdout + done.stderr
    rate = re.search(r"finished in [\d.]+m?s, ([\d.]+) req/s", said)
    if done.returncode != 0 or rate is None or f" {requests} succeeded, 0 failed, 0 errored" not in said:
        sys.exit(f"h2load against {title} went wrong, status {done.returncode}:\n{said}")
    if f"status codes: {requests} 2xx" not in said:
        sys.exit(f"h2load against {title} was refused:\n{said}")
    return Sample(float(rate[1]), cpu_us, _logged(log) if log is not None else {})


def _logged(log: Path) -> dict[str, float]:
    """Percentiles of the log: start, status and microseconds of each request."""
    times = sorted(int(row.split()[2]) for row in log.read_text(encoding="utf-8").splitlines())
    return {f"p{p:g}": float(report.percentile(times, p)) for p in PERCENTILES}
