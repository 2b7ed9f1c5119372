"""Reloads of 800 tools and 1,000 grants under a fixed rate of calls: none lost, none wrong, and what latency does.

The policy is replaced as an operator would, by an atomic rename, again and again while `callgate bench` asks at a fixed
rate with the grants' own tokens. Both versions of it allow those calls, and differ in what they say besides. Runs with
and without reloads take turns. The build alone is timed in this process, by `Engine.reload_config`.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import calls, machine, programs, report

from callgate import Engine
from callgate._callgate import hash_token, new_token

RELOAD_SECONDS = 30.0


@dataclass(frozen=True)
class World:
    """The files of a configuration, and the tokens of its grants."""

    folder: Path
    key: bytes
    tokens: list[str]
    tools: int

    def policy(self, version: int) -> bytes:
        """A policy of so many tools; versions differ in one number of each, which no call here meets."""
        rules = {
            "require": [
                {
                    "conditions": [
                        {"path": "args.currency", "op": "in", "value": ["usd", "eur"]},
                        {"path": "args.amount", "op": "lte", "value": 50_000 + version},
                    ]
                }
            ],
            "limits": [{"counter": "calls", "window": "minute", "max": 1_000_000_000_000, "scope": "grant"}],
        }
        tools = {f"{calls.TOOL}_{number}": rules for number in range(self.tools)}
        return json.dumps({"version": "1", "name": "reload", "default": "deny", "tools": tools}).encode()

    def grants(self) -> list[dict[str, object]]:
        """All grants, as the configuration writes them."""
        return [
            {"id": f"grant-{number:04}", "token_hash": hash_token(self.key, token), "server": "srv", "policy": "reload"}
            for number, token in enumerate(self.tokens)
        ]

    def put(self, name: str, content: bytes) -> Path:
        """Replaces a file atomically."""
        fresh = self.folder / f".{name}.new"
        fresh.write_bytes(content)
        return fresh.replace(self.folder / name)

    def configuration(self) -> dict[str, object]:
        """Writes every file and gives what `serve` reads."""
        policy = self.put("reload.json", self.policy(0))
        grants = self.put("grants.json", json.dumps({"grants": self.grants()}).encode())
        key = self.put("grant.key", self.key.hex().encode())
        key.chmod(0o600)
        return {
            "servers": {"srv": {}},
            "policies": {"reload": str(policy)},
            "grants_file": str(grants),
            "grant_key_file": str(key),
        }

    def calls(self) -> Path:
        """One call of each grant, each to another tool."""
        args = json.loads(calls.ARGUMENTS[100])
        rows = [
            {"grant_token": token, "tool": f"{calls.TOOL}_{number % self.tools}", "args": args}
            for number, token in enumerate(self.tokens)
        ]
        return self.put("calls.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())


def build_ms(world: World, rounds: int) -> list[float]:
    """Milliseconds of `Engine.reload_config`: everything read already, until the swap."""
    grants = [{**grant, "labels": {}, "expires_at_us": None, "revoked": False} for grant in world.grants()]

    def keywords(version: int) -> dict[str, Any]:
        policies = {"reload": ("reload.json", world.policy(version))}
        return {"policies": policies, "servers": {"srv": None}, "grants": grants, "grant_key": world.key}

    engine = Engine.from_config(**keywords(0))
    times = []
    for version in range(1, rounds + 1):
        given = keywords(version)
        began = time.perf_counter()
        engine.reload_config(**given)
        times.append((time.perf_counter() - began) * 1e3)
        args = calls.ARGUMENTS[100]
        decision = engine.check(grant_token=world.tokens[-1], tool=f"{calls.TOOL}_0", args=args)
        assert decision.allowed, decision
    return times


class Reloader(threading.Thread):
    """Replaces the policy file and waits until it is in force, again and again."""

    def __init__(self, world: World, sidecar: programs.Sidecar, every_seconds: float) -> None:
        super().__init__(daemon=True)
        self.world, self.sidecar, self.every_seconds = world, sidecar, every_seconds
        self.stopped = threading.Event()
        self.reloads = 0
        self.failed = ""

    def run(self) -> None:
        while not self.stopped.wait(self.every_seconds):
            before = self.sidecar.metric("callgate_policy_reloads_total", result="success")
            self.world.put("reload.json", self.world.policy(1 + self.reloads % 2))
            deadline = time.monotonic() + RELOAD_SECONDS
            while self.sidecar.metric("callgate_policy_reloads_total", result="success") <= before:
                if time.monotonic() > deadline:
                    self.failed = f"no reload within {RELOAD_SECONDS:g} s"
                    return
                time.sleep(0.05)
            self.reloads += 1


def asked(world: World, sidecar: programs.Sidecar, options: argparse.Namespace) -> dict[str, Any]:
    """One run of `callgate bench`; every call that was sent must be answered, and allowed.

    What the generator had not sent when the time was over was late by its own account, and is in the results.
    """
    command = ["taskset", "-c", programs.LOAD_CORE, str(programs.CALLGATE), "bench", sidecar.address]
    command += ["--calls", str(world.folder / "calls.jsonl"), "--rate", f"{options.rate:g}", "--json"]
    command += ["--duration", f"{options.seconds:g}", "--warmup", "1", "--connections", "4", "--streams", "256"]
    done = subprocess.run(command, cwd=machine.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"callgate bench ended with status {done.returncode}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)["result"]
    decisions = sum(result["outcomes"].values())
    lost = result["errors"] or result["requests"] != decisions
    if lost or not decisions or result["outcomes"]["allow"] != decisions:
        sys.exit(f"lost or wrong: {result['outcomes']}, errors {result['errors']}, {result['generator']}")
    return result


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one run")
    parser.add_argument("--rate", type=float, default=10_000, help="calls per second")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between a reload and the next")
    parser.add_argument("--tools", type=int, default=800)
    parser.add_argument("--grants", type=int, default=1_000)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.rate, options.tools, options.grants = 1, 2.0, 500, 20, 50
    programs.two_cores()
    results = report.begin("reload", options)
    measured: dict[str, list[dict[str, Any]]] = {"without reloads": [], "with reloads": []}
    reloads = 0
    with tempfile.TemporaryDirectory() as name:
        tokens = [new_token() for _ in range(options.grants)]
        world = World(Path(name), secrets.token_bytes(32), tokens, options.tools)
        build = build_ms(world, options.rounds)
        settings = world.configuration()
        world.calls()
        # Not pinned: what reads the files is not what decides, and a second core is there for it.
        with programs.sidecar(settings, world.folder, core=None) as sidecar:
            for number in range(options.rounds):
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
                measured["without reloads"].append(asked(world, sidecar, options))
                reloader = Reloader(world, sidecar, options.every)
                reloader.start()
                measured["with reloads"].append(asked(world, sidecar, options))
                reloader.stopped.set()
                reloader.join()
                if reloader.failed or not reloader.reloads:
                    sys.exit(reloader.failed or "no reload fell into the run: make it longer")
                reloads += reloader.reloads
    rows: list[tuple[report.Cell, ...]] = []
    for title, runs in measured.items():
        middle = {p: statistics.median(run["latency_us"][p] for run in runs) for p in ("p50", "p99", "p99.9", "max")}
        rows.append((title, sum(run["requests"] for run in runs), 0, *middle.values()))
    title = f"{options.tools} tools, {options.grants:,} grants, {reloads} reloads, {options.rate:,.0f} calls/s"
    results.table(title, ("", "calls", "lost or wrong", "p50 us", "p99 us", "p99.9 us", "max us"), rows)
    tails = [[run["latency_us"]["p99.9"] for run in runs] for runs in measured.values()]
    results.headline("p99.9 with reloads", statistics.median(tails[1]), "us")
    results.headline("p99.9 with reloads beside without", report.ratio(tails[1], tails[0]), "x")
    results.headline("calls lost or wrong", 0, "", at_most=0)
    results.headline("Engine.reload_config", statistics.median(build), "ms")
    results.raw.update(build_ms=build, reloads=reloads, **measured)
    results.write()


if __name__ == "__main__":
    main()
