"""Two callgates that share Redis and PostgreSQL, under mixed calls, changes and faults for a long time.

Grants are made and revoked, policies are reloaded, people answer approvals, and Redis is paused, cut off, slow, emptied
and restarted. At the end no limit was exceeded, and memory, descriptors and threads have not grown since the first
minutes. CALLGATE_SHARED_SOAK_SECONDS says how long (`make soak` says ten minutes); CALLGATE_SOAK_SAMPLES names the
file for what they use up in each second.
"""

from __future__ import annotations

import os
from pathlib import Path

from support.fleet.load import running_load
from support.soak.running import Changes, lasting, soaked, stopped
from support.soak.samples import SETTLED_S, Samples, growths, quantiles, write

SECONDS = float(os.environ.get("CALLGATE_SHARED_SOAK_SECONDS", "4"))
SEED = int(os.environ.get("CALLGATE_SOAK_SEED", "4711"))


def test_two_callgates_for_a_long_time(tmp_path: Path) -> None:
    file = Path(os.environ.get("CALLGATE_SOAK_SAMPLES", tmp_path / "samples.csv"))
    with soaked(tmp_path) as made:
        token = made.create_grant("callers")
        with running_load(made.members, made.store, SEED, caller={"grant": None, "grant_token": token}) as load:
            changes = Changes(made, token, SEED)

            def take_durations() -> list[tuple[str, float]]:
                taken, load.durations = load.durations, []
                return taken

            samples = Samples(made.pids, take_durations)
            samples.start()
            changes.start()
            try:
                lasting(SECONDS, lambda: bool(load.faults or changes.faults))
            finally:
                changes.stop()
                samples.stop()
        write(samples.rows, file)
        for line in (*load.ledger.lines(), dict(changes.seen), f"samples: {file}"):
            print(line)  # noqa: T201  figures
        assert changes.faults == []
        assert load.faults == []
        assert load.ledger.excesses() == []
        assert max(load.uses.values(), default=1) == 1, "an approval was used twice"
        assert load.outcomes["leased allow"] > 0
        assert changes.seen["grants made and revoked"] > 0
        assert changes.seen["reloads"] > 0
        if SECONDS > 2 * SETTLED_S:
            assert growths(samples.rows) == []
        assert stopped(made.members) == []


def rows(**last: float) -> list[dict[str, float]]:
    """A long run, where the last quarter has other values."""
    usual = {"memory 0": 100 << 20, "descriptors 0": 50, "threads 0": 12}
    late = {f"{name} 0": value for name, value in last.items()}
    seconds = [float(second) for second in range(int(SETTLED_S) + 400)]
    return [{"second": second, **usual, **(late if second >= SETTLED_S + 300 else {})} for second in seconds]


def test_growth_is_found() -> None:
    assert growths(rows()) == []
    assert growths(rows(memory=110 << 20, descriptors=55, threads=13)) == []
    found = growths(rows(memory=150 << 20, descriptors=90, threads=20))
    assert [line.partition(":")[0] for line in found] == ["descriptors 0", "memory 0", "threads 0"]


def test_samples_are_written(tmp_path: Path) -> None:
    measured = quantiles([("strict", seconds / 1_000) for seconds in range(1, 101)])
    assert measured == {"calls": 100, "p50 strict": 51, "p99 strict": 100}
    file = tmp_path / "a" / "samples.csv"
    write([rows()[0], {**rows()[1], **measured}], file)
    assert file.read_text().splitlines() == [
        "second,memory 0,descriptors 0,threads 0,calls,p50 strict,p99 strict",
        "0.0,104857600,50,12,,,",
        "1.0,104857600,50,12,100,51.0,100.0",
    ]
