"""`leased` beside counters in memory: one limit a grant, which is never reached, under `callgate bench`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from common import programs, report

from shared import nodes

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from common.programs import Sidecar

LIMITS = [{"counter": "calls", "window": "1m", "max": 1_000_000, "scope": "grant"}]
# Wanted: of the rate of counters in memory, and scripts a decision.
RATE, COMMANDS = 0.9, 0.01


def measure(options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """Rounds in turns, after one of each that makes the counts."""
    calls = folder / "calls.jsonl"
    lines = (
        json.dumps({"grant": f"grant-{number:06}", "server": nodes.SERVER, "tool": nodes.TOOL, "args": {"amount": 1}})
        for number in range(options.grants)
    )
    calls.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    with ExitStack() as stack:
        store = nodes.redis(stack)
        memory = nodes.sidecar(stack, folder / "memory", LIMITS, None)
        shared = nodes.sidecar(stack, folder / "leased", LIMITS, store)
        for running in (memory, shared):
            load(running, calls, options, options.seconds)
        alone: list[dict[str, Any]] = []
        leased: list[dict[str, Any]] = []
        per_decision = []
        for number in range(options.rounds):
            print(f"leased, round {number + 1} of {options.rounds}", file=sys.stderr)
            alone.append(load(memory, calls, options, options.seconds))
            before, decided = store.commands(), shared.allowed()
            leased.append(load(shared, calls, options, options.seconds))
            per_decision.append((store.commands() - before) / (shared.allowed() - decided))
    rows = [
        (title, *(round(statistics.median(one[name] for one in rounds)) for name in ("rate", "p50", "p99")))
        for title, rounds in (("memory", alone), ("leased", leased))
    ]
    results.table(f"Check, one limit a grant, {options.grants:,} grants", ("", "req/s", "p50 us", "p99 us"), rows)
    rate = report.ratio([one["rate"] for one in leased], [one["rate"] for one in alone])
    results.headline("leased: rate beside counters in memory", rate, "x", at_least=RATE)
    results.headline("leased: scripts a decision", statistics.median(per_decision), "", at_most=COMMANDS)
    results.raw["leased"] = {"memory": alone, "leased": leased, "scripts a decision": per_decision}


def load(running: Sidecar, calls: Path, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """One run of `callgate bench`: every call must have been allowed."""
    command = ["taskset", "-c", programs.LOAD_CORE, str(programs.CALLGATE), "bench", running.address]
    command += ["--calls", str(calls), "--connections", str(options.connections), "--streams", str(options.streams)]
    command += ["--duration", f"{seconds:g}", "--warmup", "0", "--threads", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"callgate bench failed with status {done.returncode}:\n{done.stdout}{done.stderr}")
    result = json.loads(done.stdout)["result"]
    outcomes = {name: count for name, count in result["outcomes"].items() if count}
    if set(outcomes) != {"allow"}:
        sys.exit(f"expected that all calls are allowed, not {outcomes}")
    return {
        "rate": result["requests_per_second"],
        "p50": result["latency_us"]["p50"],
        "p99": result["latency_us"]["p99"],
    }
