"""The cost of the decision log: throughput without it, with it and with a signed one; its behaviour at a fixed rate.

The sidecars are pinned to one core with everything they do, the log's writer included, and take turns. At the fixed
rate no record may be dropped, and the log must hold one line per decision that callgate counted. The signed log has to
verify.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from common import machine, programs, report
from common.h2load import Sample, Shape
from wire import contestants, load
from wire.contestants import Contestant, Transport

LOG_SHARE = 0.90
SIGNED_SHARE = 0.90
LOADS = {"Check": "check", "CheckStream": "stream"}


def lines(log: Path) -> int:
    """Lines of the log and of what it was rotated to; each must be JSON with an outcome."""
    count = 0
    for path in log.parent.glob(f"{log.name}*"):
        with path.open(encoding="utf-8") as text:
            for line in text:
                if "outcome" not in json.loads(line):
                    sys.exit(f"a line of {path.name} has no outcome")
                count += 1
    return count


def throughput(
    servers: dict[str, Contestant], options: argparse.Namespace, folder: Path, results: report.Report
) -> None:
    """Closed loops against both in turns; the first round is not kept."""
    shape = Shape(options.connections, options.streams)
    rows: list[tuple[report.Cell, ...]] = []
    for method, word in LOADS.items():
        measured: dict[str, list[Sample]] = {title: [] for title in servers}
        for number in range(options.rounds + 1):
            for title, server in servers.items():
                sample = load.callgate_bench(server, shape, word, folder, seconds=options.seconds)
                if number > 0:
                    measured[title].append(sample)
        rates = {title: [s.decisions_per_second for s in samples] for title, samples in measured.items()}
        for title, samples in measured.items():
            cpu = statistics.median(s.server_cpu_us for s in samples)
            of_off = "" if title == "off" else f"{report.ratio(rates[title], rates['off']):.2f}x"
            rows.append((f"{method}, log {title}", round(statistics.median(rates[title])), of_off, round(cpu, 2)))
        share, signed = report.ratio(rates["on"], rates["off"]), report.ratio(rates["signed"], rates["on"])
        results.headline(f"{method} with the log beside without", share, "x", at_least=LOG_SHARE)
        results.headline(f"{method} with a signed log beside a plain one", signed, "x", at_least=SIGNED_SHARE)
        results.raw[method] = rates
    results.table("throughput", ("", "decisions/s", "of off", "cpu us"), rows)


def fixed_rate(server: Contestant, options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """A fixed rate for some time: nothing may be dropped."""
    shape = Shape(options.connections, options.streams)
    before = dropped(server)
    run = load.callgate_bench(server, shape, "stream", folder, seconds=options.rate_seconds, rate=options.rate)
    lost = dropped(server) - before
    row: list[report.Cell] = ["CheckStream, log on", round(run.decisions_per_second), lost, *run.latency_us.values()]
    columns = ("", "decisions/s", "dropped", "p50 us", "p99 us", "p99.9 us")
    results.table(f"at a fixed rate for {options.rate_seconds:g} s", columns, [row])
    results.headline("decisions per second at the fixed rate", run.decisions_per_second, "/s")
    results.headline("records dropped at the fixed rate", lost, "", at_most=0)


def check_signatures(log: Path, key: Path) -> None:
    """The signed log is as it was signed."""
    words: list[str | Path] = [programs.CALLGATE, "audit", "verify", log, "--public-key", f"{key}.pub", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the signed log does not verify: {done.stdout}{done.stderr}")


def dropped(server: Contestant) -> int:
    """Records that the log could not take, so far."""
    return round(server.sidecar.metric("callgate_audit_dropped_total")) if server.sidecar is not None else 0


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--rate", type=float, default=50_000, help="decisions per second of the last run")
    parser.add_argument("--rate-seconds", type=float, default=20.0, help="length of the last run")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.rate, options.rate_seconds = 1, 0.3, 1_000, 0.5
    programs.two_cores()
    results = report.begin("decision_log", options)
    with tempfile.TemporaryDirectory(dir=machine.ROOT / "target") as name, ExitStack() as stack:
        folder = Path(name)
        # In a folder of its own: that of the configuration is watched for changes.
        log, signed = folder / "log" / "decisions.jsonl", folder / "signed" / "decisions.jsonl"
        log.parent.mkdir()
        signed.parent.mkdir()
        key = signed.with_name("audit.key")
        subprocess.run([programs.CALLGATE, "audit", "key", "new", key], check=True, capture_output=True)
        # Large enough that nothing is rotated away before it is counted.
        audit = {"audit": {"path": str(log), "max_bytes": "64GiB"}}
        signing = {"audit": {"path": str(signed), "max_bytes": "64GiB", "key_file": str(key)}}
        servers = {}
        for title, settings in (("off", {}), ("on", audit), ("signed", signing)):
            running = stack.enter_context(programs.sidecar({**contestants.policy(), **settings}, folder))
            servers[title] = Contestant(f"log {title}", Transport.TCP, running.address, running, folder)
            servers[title].probe()
        throughput(servers, options, folder, results)
        fixed_rate(servers["on"], options, folder, results)
        all_dropped, decided = dropped(servers["on"]), servers["on"].allowed()
        stack.close()
        check_signatures(signed, key)
        written = lines(log)
        if written + all_dropped != decided:
            sys.exit(f"{decided:,} decisions, {written:,} lines and {all_dropped:,} dropped")
    results.write()


if __name__ == "__main__":
    main()
