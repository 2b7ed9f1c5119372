"""The measurements of a tree: each function is one round of one subject."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from common import calls, machine, programs
from wire import contestants, load
from wire.contestants import Contestant, Transport

if TYPE_CHECKING:
    from contextlib import ExitStack

    from before.build import Tree
    from common.h2load import Shape

MIB = 1024 * 1024
# From ready until memory is looked at: what is ready may still load what the data plane does not need.
IDLE_SECONDS = 2.0
ENGINE = machine.ROOT / "bench/before/engine.py"


def decide(tree: Tree, quick: bool) -> dict[str, float]:
    """p50 and p99 of `decide()` in nanoseconds, by subject of the bench."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decide.json"
        _pinned([str(tree.decide), "--json", str(path), *(["--quick"] if quick else [])])
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return {
        f"{row['name']}: {percentile}": row["values"][f"{percentile}_ns"]
        for row in rows
        if row["name"].startswith("decide")
        for percentile in ("p50", "p99")
    }


def engine_check(tree: Tree, size: int, count: int) -> float:
    """The median of `Engine.check` from Python, in nanoseconds."""
    command = [str(tree.python), str(ENGINE), str(contestants.POLICY), calls.GRANT, calls.TOOL]
    said = json.loads(_pinned([*command, calls.ARGUMENTS[size].decode(), str(count)]))
    return float(said["p50_ns"])


def sidecar(tree: Tree, stack: ExitStack, folder: Path) -> Contestant:
    """The tree's sidecar on the server's core, over TCP."""
    program, state = (str(tree.callgate),), _state(tree, folder)
    running = stack.enter_context(programs.sidecar(contestants.policy(), state, program=program))
    contestant = Contestant(tree.name, Transport.TCP, running.address, running, state)
    contestant.probe()
    return contestant


def check(server: Contestant, shape: Shape, requests: int, folder: Path) -> float:
    """Decisions a second of `Check` by h2load."""
    return load.h2load(server, shape, 310, requests, folder).decisions_per_second


def by_callgate_bench(server: Contestant, shape: Shape, method: str, seconds: float, folder: Path) -> float:
    """Decisions a second of another method, by this tree's `callgate bench`."""
    return load.callgate_bench(server, shape, method, folder, seconds=seconds).decisions_per_second


def start(tree: Tree, folder: Path) -> tuple[float, float]:
    """Seconds from the start of the process until the data plane answers, and MiB resident when it idles."""
    program, state = (str(tree.callgate),), _state(tree, folder)
    began = time.perf_counter()
    with programs.sidecar(contestants.policy(), state, program=program, core=None, wait=False) as running:
        _wait_until_answered(running)
        seconds = time.perf_counter() - began
        running.wait_until_ready()
        time.sleep(IDLE_SECONDS)
        return seconds, running.resident_bytes()["total"] / MIB


def _state(tree: Tree, folder: Path) -> Path:
    """The tree's own state folder: the store of one revision may be nothing that another one reads."""
    state = folder / tree.name
    state.mkdir(exist_ok=True)
    return state


def _wait_until_answered(running: programs.Sidecar) -> None:
    body = {"grant": calls.GRANT, "tool": calls.TOOL, "args": json.loads(calls.ARGUMENTS[100])}
    request = urllib.request.Request(
        f"http://{running.address}/v1/check",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    deadline = time.monotonic() + programs.START_SECONDS
    while time.monotonic() < deadline:
        running.running()
        try:
            with urllib.request.urlopen(request, timeout=1.0) as response:
                if json.load(response)["outcome"] == "allow":
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(programs.ASK_EVERY_SECONDS)
    sys.exit(f"the data plane did not answer within {programs.START_SECONDS:g} s")


def _pinned(command: list[str]) -> str:
    pinned = ["taskset", "-c", programs.SERVER_CORE, *command]
    done = subprocess.run(pinned, cwd=machine.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(command[:2])}` ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
