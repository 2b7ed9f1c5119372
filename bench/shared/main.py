"""Counters that several sidecars share through Redis.

`leased` beside counters in memory, one hot limit a grant; the part of `max` that sidecars can use whose callers differ;
`strict` beside envoyproxy/ratelimit on the same kind of Redis. All that serves is pinned to one core and the load to
the other, and rounds take turns.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from common import programs, report

from shared import leased, strict, usable


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one round")
    parser.add_argument("--probe", type=int, default=3_000, help="requests before the rounds")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--grants", type=int, default=10_000)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.probe, options.grants = 1, 0.5, 500, 200
    programs.two_cores()
    results = report.begin("shared", options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        leased.measure(options, folder, results)
        usable.measure(options, folder, results)
        strict.measure(options, folder, results)
    results.write()


if __name__ == "__main__":
    main()
