"""`Engine.check` in the environment that runs this: the median of single calls in nanoseconds, as JSON.

It is given its inputs, and imports nothing of the benches: the package beside it may be of an earlier revision.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import callgate


def main() -> None:
    """Reads policy, grant, tool, arguments and the number of calls from the command line."""
    policy, grant, tool, body, count = sys.argv[1:]
    engine = callgate.Engine.from_file(policy)
    args = body.encode()
    clock = time.perf_counter_ns
    decision = engine.check(grant=grant, tool=tool, args=args)
    if decision.outcome != "allow" or len(decision.limits) != 2:
        sys.exit(f"expected allow with two limits, got {decision}")
    times = []
    for _ in range(int(count)):
        began = clock()
        engine.check(grant=grant, tool=tool, args=args)
        times.append(clock() - began)
    print(json.dumps({"p50_ns": statistics.median(times)}))


if __name__ == "__main__":
    main()
