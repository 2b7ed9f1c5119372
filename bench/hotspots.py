"""Hot symbols: `perf` over a bench of the core, or over a sidecar under load; writes a table of symbols.

It samples the CPU clock, which works where a virtual machine hides the hardware counters, and needs the symbols that
the bench builds keep. What is inlined is counted to the function around it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from common import echo, h2load, machine, programs, report
from common.h2load import Shape
from inprocess import core
from mcp_gateway import starting
from proxy import messages
from proxy.starting import AUTHORIZATION, RATE_LIMITS
from wire import contestants, load
from wire.contestants import Contestant, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.programs import Program

CORE = {
    "decide": ("decide", "decide, 800 tools, 800"),
    "admitted": ("counters", "admitted, 30 per minute: callgate"),
    "refused": ("counters", "refused, 30 per hour: callgate"),
    "million": ("counters", "million counters at random: callgate"),
}
# Requests of proxies: the configuration of the sidecar, the method and the message.
SERVICES = {
    "rate-limit": (RATE_LIMITS, messages.RATE_LIMIT, messages.rate_limit(messages.FREE)),
    "over-limit": (RATE_LIMITS, messages.RATE_LIMIT, messages.rate_limit(messages.USED_UP)),
    "authz": (AUTHORIZATION, messages.AUTHORIZATION, messages.check(messages.call())),
}
METHODS = {"check": "check", "batch": "batch", "stream": "stream", "log": "stream"}
GATEWAY = "gateway"
HERTZ = "997"
SHOWN_ABOVE_PERCENT = "0.5"
# Requests that tell how many a given time takes.
PROBE = 2_000


def of_core(name: str, data: Path, quick: bool) -> None:
    """Profiles one subject of a bench of the core."""
    bench, only = CORE[name]
    profile = ["--profile", "dev" if quick else "release"]
    command = ["cargo", "bench", *profile, "--package", core.PACKAGES[bench], "--bench", bench, "--no-run"]
    said = subprocess.run(
        [*command, "--message-format", "json"],
        cwd=machine.ROOT,
        env=machine.cargo_environment(quick=quick),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    built = [json.loads(line) for line in said.splitlines()]
    [program] = [m["executable"] for m in built if m.get("executable") and m["target"]["name"] == bench]
    further = ["--quick"] if quick else []
    record = ["perf", "record", "--quiet", "-e", "cpu-clock", "-F", HERTZ, "-o", str(data), "--"]
    subprocess.run([*record, program, "--only", only, *further], cwd=machine.ROOT, check=True)


def of_sidecar(name: str, data: Path, folder: Path, seconds: float) -> None:
    """Profiles a sidecar under a closed loop."""
    audit = {"audit": {"path": str(folder / "decisions.jsonl")}} if name == "log" else {}
    with programs.sidecar({**contestants.policy(), **audit}, folder) as running:
        server = Contestant("callgate", Transport.TCP, running.address, running, folder)
        server.probe()
        with recorded(data, running):
            load.callgate_bench(server, Shape(4, 16), METHODS[name], folder, seconds=seconds)


def of_service(name: str, data: Path, folder: Path, seconds: float) -> None:
    """Profiles a sidecar under the requests of a proxy."""
    configuration, path, message = SERVICES[name]
    body = folder / "body"
    body.write_bytes(messages.frame(message))
    with programs.sidecar(configuration, folder) as running:
        sent = h2load.Load(f"http://{running.address}{path}", body, h2load.GRPC)

        def ask(requests: int) -> h2load.Sample:
            return h2load.run(name, sent, Shape(4, 16), requests, running.cpu_seconds)

        rate = ask(PROBE).decisions_per_second
        with recorded(data, running):
            ask(max(PROBE, int(rate * seconds)))


def of_gateway(_name: str, data: Path, folder: Path, seconds: float) -> None:
    """Profiles a gateway before a server on the core of the load."""
    body = folder / "body"
    body.write_bytes(messages.call())
    with ExitStack() as stack:
        upstream, _ = echo.started(stack, programs.LOAD_CORE, quick=seconds < 1)
        way = starting.callgate(stack, folder, upstream)
        rate = way.load(body, Shape(32, 1), PROBE).decisions_per_second
        with recorded(data, way.program):
            way.load(body, Shape(32, 1), max(PROBE, int(rate * seconds)))


@contextmanager
def recorded(data: Path, program: Program) -> Iterator[None]:
    """Records a profile with `perf` while the body runs."""
    record = ["perf", "record", "--quiet", "-e", "cpu-clock", "-F", HERTZ, "-o", str(data)]
    with subprocess.Popen([*record, "--pid", str(program.process.pid)]) as perf:
        yield
        perf.terminate()


def shown(data: Path) -> str:
    """The symbols that took most, with the part of each."""
    command = ["perf", "report", "-i", str(data), "--stdio", "--no-children", "--sort", "dso,symbol"]
    done = subprocess.run(
        [*command, "--percent-limit", SHOWN_ABOVE_PERCENT], capture_output=True, text=True, check=True
    )
    # Some versions add columns that virtual machines leave empty.
    rows = [line.rstrip(" -") for line in done.stdout.splitlines()]
    return "\n".join(line for line in rows if line and not line.startswith("#"))


def main() -> None:
    """Profiles the named programs and writes the table beside the results."""
    names = [*CORE, *METHODS, *SERVICES, GATEWAY]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--seconds", type=float, default=10.0, help="load on a sidecar")
    options = parser.parse_args()
    for name in options.names:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            data = folder / "perf.data"
            if name in CORE:
                of_core(name, data, options.quick)
            else:
                profile = of_gateway if name == GATEWAY else of_service if name in SERVICES else of_sidecar
                profile(name, data, folder, 0.5 if options.quick else options.seconds)
            table = shown(data)
        if not table:
            sys.exit(f"perf saw nothing of {name}")
        target = (report.QUICK_RESULTS if options.quick else report.RESULTS) / f"profile-{name}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{machine.line()}\n\n{table}\n", encoding="utf-8")
        print(f"\n==> where the time of {name} goes\n{table}\nwritten to {target.relative_to(machine.ROOT)}")


if __name__ == "__main__":
    main()
