"""Runs benches, one after the other, and prints one table of what they found and what it was meant to be.

`run.py all`, or the names of some parts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import machine, report

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Part:
    """One bench: the module that runs it, its first options, and the names under `bench/results` that it writes."""

    module: str
    options: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    # Profiles (`hotspots.py`) that show where the time goes, made when a target is missed.
    profiles: tuple[str, ...] = ()
    # Not a part of `all`, because it has to be told what to compare with.
    is_apart: bool = False


PARTS = {
    "core": Part("inprocess.core", ("decide",), ("decide",), ("decide",)),
    "counters": Part("inprocess.core", ("counters",), ("counters",), ("admitted", "refused", "million")),
    "durable": Part("inprocess.core", ("durable",), ("durable",)),
    "grants": Part("inprocess.core", ("grants",), ("grants",)),
    "python": Part("inprocess.engine_check", (), ("python",)),
    "peers": Part("inprocess.peers", (), ("peers",)),
    "grpc": Part("wire.unary", (), ("grpc",), ("check",)),
    "methods": Part("wire.methods", (), ("methods",), ("check", "batch", "stream")),
    "clients": Part("wire.clients", (), ("clients",)),
    "reload": Part("sidecar.reload", (), ("reload",)),
    "state": Part("sidecar.state", (), ("state",)),
    "proxies": Part("proxy.main", (), ("proxies",), ("rate-limit", "over-limit", "authz")),
    "gateway": Part("mcp_gateway.main", (), ("gateway",), ("gateway",)),
    "control": Part("control.main", (), ("control",)),
    "log": Part("sidecar.decision_log", (), ("decision_log",), ("log",)),
    "shared": Part("shared.main", (), ("shared",)),
    "before": Part("before.main", (), ("before",), is_apart=True),
}


def run(name: str, quick: bool, options: Sequence[str]) -> bool:
    """Runs one part; False where it failed."""
    part = PARTS[name]
    print(f"\n==> {name}", flush=True)
    return _module(part.module, [*part.options, *(["--quick"] if quick else []), *options])


def _module(name: str, options: Sequence[str]) -> bool:
    # The folder of the tests has the PostgreSQL server that both start.
    folders = [str(machine.ROOT / "bench"), str(machine.ROOT / "tests")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-m", name, *options]
    return subprocess.run(command, cwd=machine.ROOT, env=environment, check=False).returncode == 0


def headlines(names: Sequence[str], quick: bool, began: float) -> list[report.Headline]:
    """The headlines that the parts have written since this run began."""
    folder = report.QUICK_RESULTS if quick else report.RESULTS
    found = []
    for name in names:
        for stem in PARTS[name].results:
            path = folder / f"{stem}.json"
            # A part that was asked for less than all of it writes nothing.
            if path.exists() and path.stat().st_mtime >= began:
                results = json.loads(path.read_text(encoding="utf-8"))
                found += [report.Headline(**headline) for headline in results["headlines"]]
    return found


def main() -> None:
    """Runs what is asked for; the exit status is 1 when a part failed, and a missed target is no failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=["all", *PARTS], metavar="PART", help=", ".join(["all", *PARTS]))
    parser.add_argument("--quick", action="store_true", help="show that the benches work")
    options, further = parser.parse_known_args()
    every = [name for name, part in PARTS.items() if not part.is_apart]
    names = every if "all" in options.parts else options.parts
    if further and len(names) > 1:
        parser.error(f"`{further[0]}` is an option of one part: name that part alone")
    began = time.time()
    ran = [name for name in names if run(name, options.quick, further)]
    found = {name: headlines([name], options.quick, began) for name in ran}
    failed = [name for name in names if name not in ran]
    missed = [name for name in ran if any(headline.met is False for headline in found[name])]
    wanted = list(dict.fromkeys(profile for name in missed for profile in PARTS[name].profiles))
    if wanted and not options.quick and not _module("hotspots", wanted):
        failed.append("profile")
    print(f"\n{machine.line()}")
    print(report.summary(headline for part in found.values() for headline in part))
    if missed:
        where = "; profiles are in bench/results/profile-*.txt" if wanted else ""
        print(f"targets were missed by {', '.join(missed)}{where}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
