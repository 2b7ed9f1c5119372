"""The services without a network: external authorization of a 1 KiB call beside one scan of it, and a rate limit."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from common import machine
from proxy import messages

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from common import report

DECISION, ANSWER = "message to decision", "message to answer"
AT_MOST_SCANS = 3.0


def decision(options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """Builds the bench of the server's crate, as a release build unless the run is a quick one, and runs it."""
    check, rate_limit, written = folder / "check", folder / "rate-limit", folder / "results.json"
    check.write_bytes(messages.check(messages.call()))
    rate_limit.write_bytes(messages.rate_limit(messages.FREE))
    command = ["cargo", "bench", "--quiet", *(["--profile", "dev"] if options.quick else [])]
    command += ["--package", "callgate-server", "--features", "bench", "--bench", "envoy", "--"]
    command += ["--check", str(check), "--rate-limit", str(rate_limit), "--json", str(written)]
    command += ["--quick"] if options.quick else []
    environment = machine.cargo_environment(quick=options.quick)
    subprocess.run(command, cwd=machine.ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    rows = json.loads(written.read_text(encoding="utf-8"))["rows"]
    table = [(row["name"], round(row["p50_ns"]), f"{row['of_scan']:.2f}x") for row in rows]
    results.table("The services without a network", ("", "ns", "of the scan"), table)
    scans = {row["name"]: row["of_scan"] for row in rows}
    results.headline("from message to decision, beside one scan", scans[DECISION], "x", at_most=AT_MOST_SCANS)
    results.headline("from message to answer, beside one scan", scans[ANSWER], "x")
    results.raw["without a network"] = rows
