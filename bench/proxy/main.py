"""callgate as a proxy asks it: each service by itself, and through Envoy, beside peers and a bare tonic handler."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from common import programs, report
from proxy import in_process, quotas, services, through_doors, through_envoy

PARTS = {
    "rate-limits": services.rate_limits,
    "authorization": services.authorization,
    "envoy": through_envoy.added,
    "doors": through_doors.added,
    "quotas": quotas.measure,
    "in-process": in_process.decision,
}


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one round for one server")
    parser.add_argument("--probe", type=int, default=2_000, help="requests before the rounds")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--floor-share", type=float, default=0.85, help="throughput wanted, beside the bare handler's")
    parser.add_argument("--only", choices=PARTS, help="one part, and write no results")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.probe = 1, 0.05, 300
    programs.two_cores()
    results = report.begin("proxies", options)
    for name, part in PARTS.items():
        if options.only in {None, name}:
            with tempfile.TemporaryDirectory() as folder:
                part(options, Path(folder), results)
    if options.only is None:
        results.write()


if __name__ == "__main__":
    main()
