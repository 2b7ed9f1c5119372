"""The least policy that keeps what decision logs show as used."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callgate import Engine
from callgate.errors import ConfigError
from callgate.workbench.recommend import Recommendation, Usage, Wishes, read_usage, recommend
from callgate.workbench.recommend.rates import WINDOW_US, Rates
from callgate.workbench.recommend.recommend import rounded_up
from support.recommend import MINUTE_US, START_US, catalogue_of, line, policy_of, tool, write_log
from support.signed_logs import LogMaker

SECOND_US = 1_000_000
CATALOGUE = catalogue_of(
    tool("get", "Read", risk="low"),
    tool("put", "Write", risk="medium"),
    tool("run", "Execute", risk="high"),
    tool("drop", "Destructive", risk="critical"),
    tool("wipe", "Destructive", risk="critical"),
    tool("pay", "Financial", risk="high"),
    tool("riddle"),
    tool("l" * 200, "Read"),
)
TOOLS = {"srv": CATALOGUE.servers["srv"].tools}


def usage_of(*paths: Path) -> Usage:
    return read_usage(paths, TOOLS)


def least(usage: Usage, **wishes: Any) -> Recommendation:
    (found,) = recommend(CATALOGUE, wishes=Wishes(usage=usage, **wishes))
    policy_of(found)
    return found


def test_what_was_used_stays(tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "log.jsonl",
        *(line("get", START_US + number * SECOND_US) for number in range(12)),
        line("drop", START_US + 5 * SECOND_US),
        line("put", outcome="deny", rule="/tools/put/action"),
        line("put", outcome="rate_limited", rule="/tools/put/limits/put_rate"),
        line("riddle"),
        line("gone"),
        line("gone"),
        line("get", server="other"),
        line("", protocol="rate_limit", server="", grant="", outcome="rate_limited", rule="/user=ann"),
    )
    usage = usage_of(log)
    found = least(usage)
    assert found.document() == {
        "version": "1",
        "default": "deny",
        "hide": ["wipe"],
        "tools": {
            "get": {"limits": [{"counter": "get_rate", "window": "minute", "max": 15, "scope": "grant"}]},
            "drop": {"action": "require_approval"},
        },
    }
    left_out = {one.tool: (one.kind, one.reason) for one in found.left_out}
    assert set(left_out) == {"put", "run", "pay", "riddle", "l" * 200}
    kind, reason = left_out["put"]
    assert kind == "never used"
    assert reason == (
        "Write, medium risk (the catalogue gives no evidence): never used, so it is denied; "
        "calls that were not allowed: 1 deny, 1 rate_limited"
    )
    assert left_out["riddle"] == (
        "no category",
        "no category is known, so it is denied, although it was used 1 time on 2026-11-18",
    )
    assert found.notes == ("`gone` was used 2 times, but the catalogue does not have it, so it is denied",)
    assert usage.unknown_servers.names == {"other": 1}
    assert (
        "at most 15 calls per minute for each grant, because it was used 12 times on 2026-11-18"
        in found.rules[0].reason
    )
    assert "not hidden, because it was used 1 time on 2026-11-18; each call needs" in found.rules[1].reason


def test_lines_of_a_signed_log_itself_are_no_decisions(tmp_path: Path) -> None:
    log = LogMaker()
    log.file()
    log.raw(line("get").encode())
    log.add(kind="admin", number=7, time="2026-11-22T01:00:00.000000Z", actor="ann", action="create")
    log.add(kind="gap", reason="sampled", count=3)
    log.checkpoint()
    log.write(tmp_path / "log")
    usage = usage_of(tmp_path / "log")
    assert (usage.decisions, usage.damaged_lines) == (1, 0)


@pytest.mark.parametrize(("calls", "most"), [(1, 5), (26, 30), (30, 30), (31, 40), (117, 120), (1234, 1300)])
def test_limits_follow_the_log(tmp_path: Path, calls: int, most: int) -> None:
    """Up to the recommended limit, which is 30 for Write, it is the cap; a log that shows more raises it visibly."""
    found = least(usage_of(write_log(tmp_path / "log", *(line("put", START_US + number) for number in range(calls)))))
    (rule,) = found.rules
    assert (rule.max_calls, rule.is_raised) == (most, calls > 30)
    assert ("more than the 30 that are recommended for Write" in rule.reason) == (calls > 30)


def test_shadowed_calls_were_used(tmp_path: Path) -> None:
    shadow = {"outcome": "deny", "rule": "(default deny)"}
    found = least(usage_of(write_log(tmp_path / "log", line("get", shadow=shadow), line("get"))))
    assert "used 2 times on 2026-11-18, 1 of them only because of shadow mode" in found.rules[0].reason


def test_what_people_approved_goes_on_needing_approvals(tmp_path: Path) -> None:
    approved: dict[str, Any] = {"approval": "7mzc4q2lktv5xw3hbn6jd2yroe"}
    log = write_log(tmp_path / "log", line("put", **approved), line("run", **approved), line("run"))
    found = {rule.tool: rule for rule in least(usage_of(log)).rules}
    assert {name: (rule.needs_approval, rule.asks_less) for name, rule in found.items()} == {
        "put": (True, False),
        "run": (False, True),
    }
    assert found["run"].reason.endswith(
        "used 2 times on 2026-11-18, 1 of them with a person's approval, by one grant at most 2 in a minute"
    )


def test_names_that_the_log_has_cut(tmp_path: Path) -> None:
    found = least(usage_of(write_log(tmp_path / "log", line("l" * 128))))
    assert [rule.tool for rule in found.rules] == ["l" * 200]


def test_kept_tools_need_no_use(tmp_path: Path) -> None:
    found = least(usage_of(write_log(tmp_path / "log", line("get"))), keep=("wipe",))
    assert [rule.tool for rule in found.approvals] == ["wipe"]
    assert [one.tool for one in found.hidden] == ["drop"]


def test_damaged_lines_are_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    bad = ["{", "[]", "\ufffd", '{"a": 1}', line("get", decided_at_us="x"), line("get", decided_at_us=-1)]
    bad += [line("get", outcome="maybe"), "[" * 100_000, line("get", decided_at_us=True)]
    log.write_bytes(b"\xff\n" + "\n".join([*bad, "", line("get"), line("get")[:40]]).encode())
    usage = usage_of(log)
    numbers = [fault.line for fault in usage.damaged]
    assert numbers == [*range(1, 11), 13]
    assert str(usage.damaged[0]) == f"{log}:1:1: not a line of a decision log: it is not UTF-8"
    not_one = ":13:1: not a line of a decision log: it is no JSON; the file ends within the line"
    assert str(usage.damaged[-1]).endswith(not_one)
    assert (usage.decisions, usage.damaged_lines) == (1, 11)


RECORD = st.fixed_dictionaries(
    {},
    optional={
        "decided_at_us": st.none() | st.integers() | st.floats(),
        "outcome": st.sampled_from(["allow", "deny"]) | st.none(),
        "tool": st.sampled_from(["get", "\ud800", ""]) | st.integers(),
        "server": st.sampled_from(["srv", "\x1b[2J"]) | st.none(),
        "grant": st.text() | st.lists(st.none()),
        "shadow": st.none() | st.dictionaries(st.text(), st.none()),
        "approval": st.none() | st.text() | st.integers(),
    },
)
LINES = RECORD.map(lambda fields: json.dumps({**json.loads(line("get")), **fields}).encode())
BYTES = LINES | st.binary(max_size=20)


@given(st.lists(BYTES, max_size=10))
def test_any_bytes_are_a_log(lines: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.write_bytes(b"\n".join([*lines, line("put").encode()]))
        usage = usage_of(log)
    assert usage.tools["srv", "put"].allowed == 1
    (rules, *_) = least(usage).rules
    assert rules.tool in {"get", "put"}


def test_long_names_do_not_stay_in_memory(tmp_path: Path) -> None:
    long = "x" * 10_000
    lines = [line("get", grant=long), line("get", grant="g" * 128), line(long), line("get", server=long)]
    usage = usage_of(write_log(tmp_path / "log", *lines))
    assert [fault.line for fault in usage.damaged] == [1]
    assert usage.tools["srv", "get"].allowed == 1
    assert list(usage.unknown_tools["srv"].names) == ["x" * 128]
    assert list(usage.unknown_servers.names) == ["x" * 128]


def test_many_damaged_lines_are_counted(tmp_path: Path) -> None:
    usage = usage_of(write_log(tmp_path / "log", *["x"] * 1000, line("get")))
    assert (len(usage.damaged), usage.damaged_lines, usage.decisions) == (20, 1000, 1)


def test_a_line_without_end_is_skipped(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", "x" * (3 << 20), line("get"), line("get", padding="y" * (1 << 20)), line("put"))
    usage = usage_of(log)
    assert [(fault.line, fault.message) for fault in usage.damaged] == [
        (1, "longer than 1 MiB"),
        (3, "longer than 1 MiB"),
    ]
    assert {name for _, name in usage.tools} == {"get", "put"}


def test_rotated_files_are_one_log(tmp_path: Path) -> None:
    """The minute goes on from file to file, the oldest first; those that logrotate has compressed are read as well."""
    halves = [[line("run", START_US + (10 * part + one) * SECOND_US) for one in range(6)] for part in range(3)]
    log = write_log(tmp_path / "log.jsonl", *halves[2])
    write_log(tmp_path / "log.jsonl.1", *halves[1])
    (tmp_path / "log.jsonl.2.gz").write_bytes(gzip.compress("\n".join(halves[0]).encode()))
    write_log(tmp_path / "log.jsonl.4", line("get"))
    usage = usage_of(log)
    use = usage.tools["srv", "run"]
    assert (use.allowed, use.peak, list(usage.tools)) == (18, 18, [("srv", "run")])
    # Named twice, it is read once.
    assert usage_of(log, tmp_path / "log.jsonl.1", log).tools == usage.tools
    # Alone, an older file is a log of its own.
    assert usage_of(tmp_path / "log.jsonl.1").tools["srv", "run"].allowed == 6


def test_logs_of_several_sidecars_count_by_themselves(tmp_path: Path) -> None:
    paths = [
        write_log(tmp_path / name, *(line("run", START_US + number) for number in range(count)))
        for name, count in (("a", 7), ("b", 3))
    ]
    use = usage_of(*paths).tools["srv", "run"]
    assert (use.allowed, use.peak) == (10, 7)


def test_a_damaged_archive_is_a_damaged_line(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", line("get"))
    packed = gzip.compress(b"".join(f"{line('put')}{number}\n".encode() for number in range(1000)))
    (tmp_path / "log.1.gz").write_bytes(packed[: len(packed) // 2])
    usage = usage_of(log)
    assert usage.damaged[-1].message.startswith("the compressed file is damaged: ") or usage.damaged_lines > 20
    assert usage.tools["srv", "get"].allowed == 1


def test_unreadable_logs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="log`: no such file or directory"):
        usage_of(tmp_path / "log")
    with pytest.raises(ConfigError, match="it is a folder; name the file of a decision log"):
        usage_of(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="it is no regular file"):
        usage_of(tmp_path / "pipe")


def test_a_log_that_says_nothing_admits_nothing_silently(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no decisions about calls"):
        least(usage_of(write_log(tmp_path / "empty")))
    with pytest.raises(ConfigError, match="no calls at `srv`: its calls are at `other`; a server needs the same name"):
        least(usage_of(write_log(tmp_path / "other", line("get", server="other"))))


def test_made_up_names_take_no_memory(tmp_path: Path) -> None:
    """Callers choose names, so that only so many are kept."""
    lines = [line(f"t{number}") for number in range(1500)]
    lines += [line("get", server=f"s{number}") for number in range(1500)]
    lines += [line(f"d{number}", outcome="deny") for number in range(1500)]
    usage = usage_of(write_log(tmp_path / "log", *lines))
    for counts in (usage.unknown_tools["srv"], usage.unknown_servers):
        assert (len(counts.names), counts.others) == (1000, 500)
    assert (usage.tools, usage.refused) == ({}, {})


GAPS = st.sampled_from([0, 1, 400_000, SECOND_US, 29 * SECOND_US, MINUTE_US - 1, MINUTE_US, MINUTE_US + 1])
CALLS = st.lists(st.tuples(GAPS, st.sampled_from("ab"), st.sampled_from(["ann", "bob"])), max_size=40)


@given(CALLS, st.randoms(use_true_random=False))
@example([(MINUTE_US - 1, "a", "ann"), (1, "a", "ann"), (MINUTE_US, "a", "ann")], None)
def test_peaks_are_those_of_every_minute(gaps: list[tuple[int, str, str]], random: Any) -> None:
    at_us, calls = START_US, []
    for gap, name, grant in gaps:
        at_us += gap
        calls.append((at_us, name, grant))
    peaks = Counter[str]()
    for _, name, grant in calls:
        times = [at for at, other, of in calls if (other, of) == (name, grant)]
        most = max(sum(0 <= at - since < WINDOW_US for at in times) for since in times)
        peaks[name] = max(peaks[name], most)
    # Lines of the same moment are in any order.
    if random is not None:
        calls.sort(key=lambda call: call[0] + random.randrange(SECOND_US // 2))
    assert _peaks(calls) == peaks


def _peaks(calls: list[tuple[int, str, str]], **settings: Any) -> dict[str, int]:
    found: defaultdict[str, int] = defaultdict(int)

    def counted(of: tuple[str, str], count: int) -> None:
        found[of[1]] = max(found[of[1]], count)

    rates = Rates(counted, **settings)
    for at_us, name, grant in calls:
        rates.add(at_us, ("srv", name), grant)
    rates.finish()
    assert rates.is_exact == ("most_calls" not in settings)
    return dict(found)


def test_a_clock_that_jumps_does_not_join_minutes() -> None:
    far = [(START_US + 10**15, "a", "ann")]
    calls = [(START_US + number * 2 * MINUTE_US, "a", "ann") for number in range(5)]
    assert _peaks([*calls, *far, *calls]) == {"a": 1}


def test_more_calls_than_are_kept_are_noticed() -> None:
    calls = [(START_US + number, "a", "ann") for number in range(50)]
    assert _peaks(calls, most_calls=20) == {"a": 20}


@given(st.lists(st.tuples(GAPS, st.sampled_from(["get", "put", "run"]), st.sampled_from(["ann", "bob"])), min_size=1))
def test_the_least_policy_allows_the_log_again(gaps: list[tuple[int, str, str]]) -> None:
    at_us, calls = START_US, []
    for gap, name, grant in gaps:
        at_us += gap
        calls.append((at_us, name, grant))
    with TemporaryDirectory() as folder:
        usage = usage_of(write_log(Path(folder) / "log", *(line(name, at, grant=of) for at, name, of in calls)))
    found = least(usage)
    engine = Engine.from_dict(found.document())
    assert {rule.tool for rule in found.rules} == {name for _, name, _ in calls}
    for at, name, grant in calls:
        assert engine.check(tool=name, grant=grant, now_ms=at / 1000).allowed


@given(st.integers(1, 10**7))
@example(21)
def test_limits_are_rounded_up_to_readable_numbers(peak: int) -> None:
    limit = rounded_up(peak)
    # To fives, above 20 to tens, and above 100 to two digits.
    step = 5 if peak <= 20 else max(10, 10 ** (len(str(peak)) - 2))
    assert peak <= limit < peak + step
    assert len(str(limit).rstrip("0")) <= 2
