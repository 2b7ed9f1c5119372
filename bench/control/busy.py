"""The data plane while the control plane works: latencies at a fixed rate of calls, in pairs of one run.

In the busy half of a pair, somebody imports grants over the admin API in a loop, and a hundred inboxes are open: half
of them streams of gRPC, half of them server-sent events. An import is put into force like any other change. Who imports
and reads runs on the core of the load at the lowest priority, so that it takes little from whoever measures.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
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
PERCENTILES = ("p50", "p99", "p99.9")
_READY_SECONDS = 120.0


def measure(results: Report, world: World, options: argparse.Namespace) -> None:
    """Measures pairs; adds the table and the headlines."""
    measured: dict[str, list[dict[str, Any]]] = {"idle": [], "busy": []}
    made: list[dict[str, int]] = []
    with worlds.serving(world) as sidecar:
        worlds.wait_for_store(sidecar)
        for number in range(options.pairs):
            print(f"pair {number + 1} of {options.pairs}", file=sys.stderr)
            # In turns, because what was imported stays.
            for kind in ("idle", "busy") if number % 2 == 0 else ("busy", "idle"):
                with ExitStack() as stack:
                    crowd = stack.enter_context(_crowd(sidecar, world, options)) if kind == "busy" else None
                    measured[kind].append(_asked(world, sidecar, options))
                if crowd is not None:
                    made.append(crowd)
    rows: list[tuple[report.Cell, ...]] = []
    for kind, runs in measured.items():
        middles = [statistics.median(run["latency_us"][name] for run in runs) for name in PERCENTILES]
        rows.append((kind, sum(run["requests"] for run in runs), *middles))
    for name in PERCENTILES:
        idle, busy = ([run["latency_us"][name] for run in measured[kind]] for kind in ("idle", "busy"))
        ratio = report.ratio(busy, idle)
        results.headline(f"{name} with a busy control plane", ratio, "x", at_most=WITHIN if name == "p99" else None)
    grants, changes = (sum(one[what] for one in made) for what in ("grants", "changes"))
    title = f"calls at {options.rate:,.0f}/s; busy: {grants:,} grants imported, {changes:,} changes in the inboxes"
    results.table(title, ("control plane", "calls", "p50 us", "p99 us", "p99.9 us"), rows)
    results.raw["busy"] = {**measured, "made": made}


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


@contextmanager
def _crowd(sidecar: Sidecar, world: World, options: argparse.Namespace) -> Iterator[dict[str, int]]:
    """Runs the importer and the inboxes; gives what they have done, once they have ended."""
    command = ["nice", "-n", "19", "taskset", "-c", programs.LOAD_CORE, sys.executable, "-m", "control.crowd"]
    asked = {
        "grpc": sidecar.admin_grpc,
        "http": sidecar.admin,
        "token": world.machine_token,
        "inboxes": options.inboxes,
        "batch": options.batch,
        "name": f"import-{time.time_ns()}",
    }
    process = subprocess.Popen(
        command,
        cwd=machine.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        text=True,
    )
    done: dict[str, int] = {}
    try:
        if process.stdin is None or process.stdout is None:
            raise AssertionError  # both are pipes
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        if process.stdout.readline() != "open\n":
            sys.exit("the inboxes did not open")
        yield done
        # The end of its input ends it.
        process.stdin.close()
        done.update(json.loads(process.stdout.readline()))
        if process.wait(_READY_SECONDS) != 0 or not done["grants"] or not done["changes"]:
            sys.exit(f"the busy half was not busy: {done}")
    finally:
        process.kill()
        process.wait()
