"""The control plane: pages and look-ups, an approved call, the data plane beside it, start and memory.

Stores of three sizes are filled first, in SQLite and in a PostgreSQL that the bench starts.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import machine, postgres, programs, report
from control.filled import Size

from control import asked, busy, lists, obeyed, start
from control import world as worlds

if TYPE_CHECKING:
    from common.postgres import Postgres
    from control.world import World

PARTS = ("lists", "asked", "obeyed", "busy", "start")


def _parts(options: argparse.Namespace) -> tuple[int, ...]:
    """The parts of the largest store that the others have, the smallest first."""
    if options.only not in {None, "lists"}:
        return (1,)
    return (10, 1) if options.quick else (100, 10, 1)


def _filled(folder: Path, server: Postgres, options: argparse.Namespace) -> dict[str, list[World]]:
    """The worlds of each database, the smallest first."""
    made: dict[str, list[World]] = {}
    for database in (worlds.SQLITE,) if options.only == "busy" else worlds.DATABASES:
        made[database] = []
        for part in _parts(options):
            size = Size(options.settled // part, options.pending // part, options.grants // part)
            name = f"{database.lower()}_{part}"
            at = server if database == worlds.POSTGRESQL else None
            made[database].append(worlds.made(folder / name, database, size, at))
    return made


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--only", choices=PARTS, help="one part, with results of its own")
    parser.add_argument("--settled", type=int, default=100_000, help="approvals of history in the largest store")
    parser.add_argument("--pending", type=int, default=10_000, help="approvals that wait in it")
    parser.add_argument("--grants", type=int, default=1_000_000, help="grants in it")
    parser.add_argument("--lists", type=int, default=50, help="rounds of pages and look-ups")
    parser.add_argument("--calls", type=int, default=1_000, help="approved calls with each database")
    parser.add_argument("--pairs", type=int, default=9, help="pairs of runs with an idle and a busy control plane")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one such run")
    parser.add_argument("--rate", type=float, default=5_000, help="calls per second of it")
    parser.add_argument("--inboxes", type=int, default=100)
    parser.add_argument("--batch", type=int, default=1_000, help="grants of one request of the import")
    parser.add_argument("--starts", type=int, default=5, help="starts with each store")
    options = parser.parse_args()
    if options.quick:
        options.settled, options.pending, options.grants = 1_000, 100, 1_000
        options.lists, options.calls, options.pairs, options.seconds, options.rate = 2, 10, 1, 1.0, 500
        options.inboxes, options.batch, options.starts = 10, 10, 1
    programs.two_cores()
    results = report.begin("control" if options.only is None else f"control-{options.only}", options)
    # On a disk: the system's temporary folder may itself be memory.
    parent = machine.ROOT / "target"
    with postgres.running() as server, tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        databases = _filled(folder, server, options)
        if options.only in {None, "lists"}:
            lists.measure(results, databases, options)
        if options.only in {None, "asked"}:
            asked.measure(results, databases, server, options)
        if options.only in {None, "obeyed"}:
            obeyed.measure(results, databases, options)
        if options.only in {None, "start"}:
            empty = worlds.made(folder / "empty", "an empty store", Size(0, 0, 0))
            start.measure(results, databases, empty, options)
        # Last, because it adds grants.
        if options.only in {None, "busy"}:
            busy.measure(results, databases[worlds.SQLITE][-1], options)
    results.write()


if __name__ == "__main__":
    main()
