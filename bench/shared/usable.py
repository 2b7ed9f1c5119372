"""The part of `max` that four sidecars can use whose callers ask for very different amounts."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from callgate import Client
from shared import nodes

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from common import report
    from common.programs import Sidecar

WANTED = 0.95
# Of the calls, the part of each sidecar; together they ask for one and a half of `max`.
PARTS = (0.7, 0.2, 0.07, 0.03)
DEMAND = 1.5
WINDOWS = 4


def measure(options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """Calls at fixed rates over some windows, and what an exact count would have admitted."""
    window_s, most = (2.0, 200) if options.quick else (10.0, 4_000)
    limits = [{"counter": "calls", "window": f"{window_s:g}s", "max": most, "scope": "global"}]
    with ExitStack() as stack:
        store = nodes.redis(stack)
        fleet = [nodes.sidecar(stack, folder / f"node-{number}", limits, store) for number in range(len(PARTS))]
        end = time.monotonic() + WINDOWS * window_s
        admitted = [0] * len(PARTS)
        asked = [0] * len(PARTS)

        def ask(number: int, running: Sidecar) -> None:
            rate = DEMAND * most / window_s * PARTS[number]
            begun = time.monotonic()
            with Client(running.address) as client:
                while (now := time.monotonic()) < end:
                    due = begun + asked[number] / rate
                    if due > now:
                        time.sleep(min(due, end) - now)
                        continue
                    asked[number] += 1
                    decision = client.check(server=nodes.SERVER, tool=nodes.TOOL, grant="g")
                    admitted[number] += decision.outcome == "allow"

        threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(fleet)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    # An exact count admits `max` in each window if more than that is asked for in it.
    usable = sum(admitted) / (WINDOWS * most)
    rows = [(f"{part:.0%}", asked[number], admitted[number]) for number, part in enumerate(PARTS)]
    rows.append(("all", sum(asked), sum(admitted)))
    results.table(f"{most:,} in {window_s:g} s over four sidecars, {WINDOWS} windows", ("", "asked", "admitted"), rows)
    results.headline("leased: part of max used by four sidecars", usable, "x", at_least=WANTED)
    results.raw["usable"] = {"asked": asked, "admitted": admitted, "max": most, "window_s": window_s}
