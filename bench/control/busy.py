"""The data plane while the control plane works: latencies at a fixed rate of calls, in pairs of one run.

There are two sidecars with the same contents of the store. One is left alone. At the other a hundred inboxes are open,
half of them streams of gRPC and half of them server-sent events; while it is measured, somebody imports grants and a
policy over the admin API in a loop, each of which is put into force, and withdraws approvals, which all inboxes see.
Who imports and reads has the core of the load, at the lowest priority, so that it takes little from whoever measures.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from common import calls, machine, programs, report
from control.filled import SERVER

from control import world as worlds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from common.programs import Sidecar
    from common.report import Report
    from control.world import World

WITHIN = 1.1
MIB = 1024 * 1024
PERCENTILES = ("p50", "p99", "p99.9")


def measure(results: Report, world: World, options: argparse.Namespace) -> None:
    """Measures pairs; adds the table and the headlines."""
    measured: dict[str, list[dict[str, Any]]] = {"idle": [], "busy": []}
    made: list[dict[str, int]] = []
    other = worlds.copied(world, world.folder.with_name("busy"))
    with ExitStack() as stack:
        idle, busy = (stack.enter_context(worlds.serving(one)) for one in (world, other))
        for sidecar, its_world in ((idle, world), (busy, other)):
            worlds.wait_for_store(sidecar)
            # The start is another part of this bench.
            worlds.wait_for_grants(sidecar, its_world)
        crowd = stack.enter_context(_crowd(busy, other, options.inboxes, options.batch))
        for number in range(options.pairs):
            print(f"pair {number + 1} of {options.pairs}", file=sys.stderr)
            for kind in ("idle", "busy") if number % 2 == 0 else ("busy", "idle"):
                if kind == "idle":
                    measured[kind].append(_asked(world, idle, options))
                    continue
                crowd.tell("import")
                measured[kind].append(_asked(other, busy, options))
                crowd.tell("pause")
                made.append(json.loads(crowd.said()))
                if not all(made[-1].values()):
                    sys.exit(f"the busy half was not busy: {made[-1]}")
        resident = [sidecar.resident_bytes()["total"] / MIB for sidecar in (idle, busy)]
    rows: list[tuple[report.Cell, ...]] = []
    for kind, runs in measured.items():
        middles = [statistics.median(run["latency_us"][name] for run in runs) for name in PERCENTILES]
        rows.append((kind, sum(run["requests"] for run in runs), *middles))
    for name in PERCENTILES:
        idle_us, busy_us = ([run["latency_us"][name] for run in measured[kind]] for kind in ("idle", "busy"))
        ratio = report.ratio(busy_us, idle_us)
        results.headline(f"{name} with a busy control plane", ratio, "x", at_most=WITHIN if name == "p99" else None)
    grants, changes = (sum(one[what] for one in made) for what in ("grants", "changes"))
    title = f"calls at {options.rate:,.0f}/s; busy: {grants:,} grants imported, {changes:,} changes in the inboxes"
    results.table(title, ("control plane", "calls", "p50 us", "p99 us", "p99.9 us"), rows)
    results.headline("resident memory of a busy control plane beyond an idle one", resident[1] - resident[0], "MiB")
    results.raw["busy"] = {**measured, "made": made, "resident_mib": resident}


def _asked(world: World, sidecar: Sidecar, options: argparse.Namespace) -> dict[str, Any]:
    """One run of `callgate bench`; each call must be answered, and allowed."""
    row = {
        "grant_token": world.file_token,
        "server": SERVER,
        "tool": calls.TOOL,
        "args": json.loads(calls.ARGUMENTS[310]),
    }
    lines = world.folder.parent / "calls.jsonl"
    lines.write_text(json.dumps(row) + "\n", encoding="utf-8")
    command = ["taskset", "-c", programs.LOAD_CORE, str(programs.CALLGATE), "bench", sidecar.address]
    command += ["--calls", str(lines), "--rate", f"{options.rate:g}", "--json", "--warmup", "0.5"]
    command += ["--duration", f"{options.seconds:g}", "--connections", "4", "--streams", "256"]
    done = subprocess.run(command, cwd=machine.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"callgate bench ended with status {done.returncode}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)["result"]
    decisions = sum(result["outcomes"].values())
    if result["errors"] or not decisions or result["outcomes"]["allow"] != decisions:
        sys.exit(f"lost or wrong: {result['outcomes']}, errors {result['errors']}")
    return result


class _Crowd:
    """The process of `control.crowd`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, line: str) -> None:
        """Writes a line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def said(self) -> str:
        """The next line that it writes."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return line or sys.exit("the crowd at the admin API has ended")


@contextmanager
def _crowd(sidecar: Sidecar, world: World, inboxes: int, batch: int) -> Iterator[_Crowd]:
    """A crowd whose inboxes are open."""
    command = ["nice", "-n", "19", "taskset", "-c", programs.LOAD_CORE, sys.executable, "-m", "control.crowd"]
    asked = {
        "grpc": sidecar.admin_grpc,
        "http": sidecar.admin,
        "token": world.machine_token,
        "inbox_tokens": world.inbox_tokens,
        "inboxes": inboxes,
        "batch": batch,
    }
    process = subprocess.Popen(command, cwd=machine.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        crowd = _Crowd(process)
        crowd.tell(json.dumps(asked))
        print(f"{inboxes} inboxes open", file=sys.stderr)
        crowd.said()
        yield crowd
    finally:
        process.kill()
        process.wait()
