"""Replays of decision logs: what is read, grouped, reported and refused."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from callgate._callgate import Replay
from callgate.cli import app
from callgate.errors import CallgateError
from callgate.workbench.replay import Choice, document, replay, text_lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from callgate.workbench.replay import Findings

START_US = 1_795_259_065_000_000


def line(second: float = 0, **fields: Any) -> dict[str, Any]:
    """A line of the log, `second` after its beginning."""
    return {
        "time": "",
        "decided_at_us": START_US + round(second * 1_000_000),
        "protocol": "grpc",
        "server": "srv",
        "grant": "ci",
        "session": "",
        "tool": "t",
        "outcome": "allow",
        "rule": "",
        "policy": "old",
        "policy_version": "0f3a9c21d7be",
        "args_keys": [],
        "labels_digest": None,
        "duration_ns": 1,
        **fields,
    }


def text(lines: Iterable[dict[str, Any] | str]) -> str:
    return "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


def replayed(log: Path, rules: Any, choice: Choice | None = None, **fields: Any) -> Findings:
    """The findings by a policy with these rules of tool `t`."""
    policy = log.with_name("new.json")
    policy.write_text(json.dumps({"version": "1", "default": "deny", "tools": {"t": rules}, **fields}))
    return replay([log], policy, choice)


def counts(found: Findings) -> dict[str, int]:
    directions = ("permissive", "stricter", "other", "unknown")
    return {"same": found.same, **{one: found.count(one) for one in directions if found.count(one)}}


def test_calls_that_change_alike_are_one_group(log: Path) -> None:
    log.write_text(text([*(line(number, args_keys=["a"]) for number in range(9)), line(9, tool="u")]))
    found = replayed(log, {"action": "deny"})
    assert counts(found) == {"same": 0, "stricter": 10}
    first, second = found.of("stricter")
    assert (first.calls, first.key.tool, first.key.new[0].rule) == (9, "t", "/tools/t/action")
    assert (second.calls, second.key.new[0].rule) == (1, "(default deny)")
    assert [example.line for example in first.examples] == [1, 2, 3, 4, 5]
    assert list(text_lines(found))[4:10] == [
        "  old  allow",
        "  new  deny /tools/t/action",
        f"  {log}:1  2026-11-21 11:04:25 UTC, grant ci",
        f"  {log}:2  2026-11-21 11:04:26 UTC, grant ci",
        f"  {log}:3  2026-11-21 11:04:27 UTC, grant ci",
        "  ... and 6 more",
    ]
    written = json.loads(document(found))
    assert (written["decisions"], written["stricter"], written["groups"][0]["calls"]) == (10, 10, 9)


def test_rotated_and_packed_files_are_read_from_the_oldest_on(log: Path) -> None:
    log.write_text(text([line(2)]))
    log.with_name("decisions.jsonl.1").write_text(text([line(1)]))
    with gzip.open(log.with_name("decisions.jsonl.2.gz"), "wt") as packed:
        packed.write(text([line(0)]))
    # The third call of a minute is one too many, whatever file it stands in.
    found = replayed(log, {"rate_limit": {"max": 2, "window": 60}})
    (group,) = found.of("stricter")
    assert [(example.file, example.line) for example in group.examples] == [(str(log), 1)]


def test_lines_of_several_logs_are_put_in_order(log: Path) -> None:
    other = log.with_name("other.jsonl")
    log.write_text(text([line(0), line(3)]))
    other.write_text(text([line(2), line(1)]))
    policy = log.with_name("new.json")
    policy.write_text('{"version": "1", "default": "allow", "all_tools": {"rate_limit": {"max": 3, "window": 60}}}')
    for logs in ([log, other], [other, log]):
        (group,) = replay(logs, policy).of("stricter")
        assert [(example.file, example.line) for example in group.examples] == [(str(log), 2)]


def test_what_cannot_be_read_is_counted_with_its_place(log: Path) -> None:
    log.write_text(text([line(), "nonsense", "", "[]", '{"outcome": "allow"}', line(outcome="maybe")]) + '{"cut')
    found = replayed(log, {})
    assert (counts(found), found.damaged_lines) == ({"same": 1}, 5)
    assert [str(fault) for fault in found.damaged[1:3]] == [
        f"{log}:4:1: not a line of a decision log: it is no JSON object",
        f"{log}:5:1: not a line of a decision log: its `args_keys` is missing",
    ]
    assert str(found.damaged[-1]).endswith("; the file ends within the line")


def test_lines_that_no_policy_decides_are_counted_by_name(log: Path) -> None:
    refused = [line(outcome="deny", rule=rule) for rule in ("(frozen)", "(frozen)", "(counter capacity)")]
    limits = line(protocol="rate_limit", policy="domain", outcome="rate_limited", rule="/user=ann")
    log.write_text(text([*refused, limits, line(server="aws"), line(policy="else"), {"kind": "gap", "count": 3}]))
    found = replayed(log, {}, Choice(server="srv", decided_by="old"))
    assert found.skipped == {
        "(frozen)": 2,
        "(counter capacity)": 1,
        "rate limit service": 1,
        "other server": 1,
        "other policy": 1,
        "kind gap": 1,
    }
    assert (found.decisions, found.unlogged) == (0, 3)
    assert "  note: 3 decisions were not logged, and counts of limits do not know them" in text_lines(found)


def test_labels_come_from_the_configuration_if_the_digest_is_theirs(log: Path) -> None:
    from callgate import Client, Engine, Server  # noqa: PLC0415  for one test

    needs = {"require": [{"conditions": [{"path": "grant.labels.team", "op": "eq", "value": "red"}]}]}
    engine = Engine.from_dict({"version": "1", "name": "old", "default": "allow"})
    with Server(engine, audit={"path": log}) as server, Client(str(server.address)) as client:
        client.check(grant="ci", tool="t", labels={"team": "red", "tier": "1"})
    assert counts(replayed(log, needs)) == {"same": 0, "unknown": 1}
    labels = {"ci": {"tier": "1", "team": "red"}}
    assert counts(replayed(log, needs, Choice(labels=labels))) == {"same": 1}
    changed = {"ci": {"team": "red"}}
    assert counts(replayed(log, needs, Choice(labels=changed))) == {"same": 0, "unknown": 1}


def test_a_policy_that_reads_the_catalogue_needs_one(log: Path, tmp_path: Path) -> None:
    log.write_text(text([line()]))
    categories = {"Write": {"action": "deny"}}
    with pytest.raises(CallgateError, match="give --catalogue FILE, or --no-catalogue"):
        replayed(log, {}, categories=categories)
    assert counts(replayed(log, {}, Choice(has_catalogue=False), categories=categories)) == {"same": 1}
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text('{"version": "1", "servers": {"srv": {"tools": {"t": {"category": "Write"}}}}}')
    found = replayed(log, {}, Choice(catalogue=catalogue), categories=categories)
    assert counts(found) == {"same": 0, "stricter": 1}


def test_the_time_of_a_line(log: Path) -> None:
    assert Replay.time_us(json.dumps(line(1)).encode()) == START_US + 1_000_000
    assert Replay.time_us(b"nonsense") is None
    assert not log.exists()


def command(*words: str | Path, stdin: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["replay", *map(str, words)], input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_exit_codes_and_standard_input(tmp_path: Path) -> None:
    policy = tmp_path / "new.yaml"
    policy.write_text('version: "1"\ndefault: deny\ntools:\n  t: {}\n')
    stricter, same = text([line(tool="u")]), text([line()])
    assert command("-", "--policy", policy, stdin=same)[0] == 0
    code, out = command("-", "--policy", policy, stdin=stricter)
    assert code == 1
    assert out.startswith(f"- -> {policy}: 1 of 1 decision changes\n")
    assert "<stdin>:1" in out
    for words, expected in (("permissive", 0), ("permissive,stricter", 1), ("none", 0), ("unknown", 0)):
        assert command("-", "--policy", policy, "--fail-on", words, stdin=stricter)[0] == expected
    torn = same + stricter[:40]
    for words, expected in (("any", 0), ("unknown", 1)):
        assert command("-", "--policy", policy, "--fail-on", words, stdin=torn)[0] == expected
    with pytest.raises(CallgateError, match="no line could be read; name the log of a sidecar"):
        command("-", "--policy", policy, stdin="no log\n")
    code, out = command("-", "--policy", policy, "--json", stdin=stricter)
    assert (code, json.loads(out)["stricter"]) == (1, 1)
    code, out = command("-", "--policy", policy, "--fail-on", "permisive", stdin=same)
    assert (code, "did you mean `permissive`?" in out) == (2, True)
    for logs in (("-", "-"), (tmp_path / "none.jsonl",)):
        with pytest.raises(CallgateError):
            command(*logs, "--policy", policy)
    policy.write_text("version: 1\ndefault: maybe\n")
    with pytest.raises(CallgateError, match=r"new\.yaml:1:10: "):
        command("-", "--policy", policy, stdin=same)
