"""Runs benches, one after the other, and prints one table of what they found and what it was meant to be.

`run.py all`, or the names of some parts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import machine, report

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Part:
    """One bench: the module that runs it, its options, and the files of `bench/results` that it writes."""

    module: str
    options: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


PARTS = {
    "core": Part("inprocess.core", ("decide",), ("decide",)),
    "counters": Part("inprocess.core", ("counters",), ("counters",)),
    "python": Part("inprocess.engine_check", (), ("python",)),
    "peers": Part("inprocess.peers", (), ("peers",)),
    "grpc": Part("wire.grpc_check", (), ("grpc",)),
}


def run(name: str, quick: bool, options: Sequence[str]) -> bool:
    """Runs one part; False where it failed."""
    part = PARTS[name]
    print(f"\n==> {name}", flush=True)
    command = [sys.executable, "-m", part.module, *part.options, *(["--quick"] if quick else []), *options]
    environment = {**os.environ, "PYTHONPATH": str(machine.ROOT / "bench")}
    return subprocess.run(command, cwd=machine.ROOT, env=environment, check=False).returncode == 0


def headlines(names: Sequence[str], quick: bool) -> list[report.Headline]:
    """What the parts wrote."""
    folder = report.QUICK_RESULTS if quick else report.RESULTS
    found = []
    for name in names:
        for stem in PARTS[name].results:
            results = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
            found += [report.Headline(**headline) for headline in results["headlines"]]
    return found


def main() -> None:
    """Runs what is asked for; the exit status is 1 when a part failed, and a missed target is no failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=["all", *PARTS], metavar="PART", help=", ".join(["all", *PARTS]))
    parser.add_argument("--quick", action="store_true", help="show that the benches work")
    options, further = parser.parse_known_args()
    names = list(PARTS) if "all" in options.parts else options.parts
    if further and len(names) > 1:
        parser.error(f"`{further[0]}` is an option of one part: name that part alone")
    ran = [name for name in names if run(name, options.quick, further)]
    print(f"\n{machine.line()}")
    print(report.summary(headlines(ran, options.quick)))
    failed = [name for name in names if name not in ran]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
