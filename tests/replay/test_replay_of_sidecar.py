"""A sidecar with a candidate and a log: what it would change, now and in a replay, and that neither calls a tool."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from callgate.cli import app
from callgate.workbench.replay import Choice, replay
from support.planes import wait_until
from support.program import Sidecar, sidecar
from support.proxies.upstream import keeping_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.proxies.upstream import Upstream

LIVE: dict[str, Any] = {
    "version": "1",
    "name": "live",
    "default": "deny",
    "log_args": ["args.amount"],
    "tools": {
        "pay": {"limits": [{"counter": "spend", "window": "day", "max": 100, "cost": "args.amount"}]},
        "read": {},
    },
}
NEXT: dict[str, Any] = {
    **LIVE,
    "name": "next",
    "tools": {
        "pay": {
            "deny_if": [{"conditions": [{"path": "args.amount", "op": "gt", "value": 30}]}],
            "limits": [{"counter": "spend", "window": "day", "max": 1000, "cost": "args.amount"}],
        },
        "read": {},
        "write": {},
    },
}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("pay", {"amount": 20}),
    ("pay", {"amount": 60}),
    ("pay", {"amount": 30}),
    ("read", {}),
    ("write", {"text": "x"}),
]
"""By the first policy the third is limited and the last denied; by the second one the second is denied."""


@dataclass(frozen=True)
class Ran:
    """What a sidecar and its upstream have seen."""

    folder: Path
    upstream: Upstream
    answers: list[str]
    report: dict[str, Any]
    text: str
    status: dict[str, Any]
    metrics: str
    after_reload: dict[str, Any]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The decision log."""
        return [json.loads(line) for line in (self.folder / "decisions.jsonl").read_text().splitlines()]


@contextmanager
def serving(folder: Path, url: str) -> Iterator[Sidecar]:
    configuration: dict[str, Any] = {
        "servers": {
            "s": {"policy": "live", "candidate": "next", "upstream": {"url": url, "probe": False, "pinning": "off"}}
        },
        "policies": {"live": "live.json", "next": "next.json"},
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "counters": "memory",
        "state": "state",
        "audit": {"path": "decisions.jsonl"},
    }
    write(folder / "live.json", LIVE)
    write(folder / "next.json", NEXT)
    (folder / "callgate.yaml").write_text(yaml.safe_dump(configuration))
    with sidecar("--config", folder / "callgate.yaml") as running:
        yield running


def write(path: Path, document: object) -> None:
    partial = path.with_suffix(".new")
    partial.write_text(json.dumps(document))
    partial.rename(path)


def call(address: str, tool: str, args: dict[str, Any]) -> str:
    """The answer of the gateway: the outcome of a refusal, or the upstream's text."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": args}}
    headers = {"accept": "application/json, text/event-stream"}
    answer = httpx.post(f"http://{address}/mcp/s", json=message, headers=headers, timeout=30)
    if answer.text == "ok":
        return "ok"
    outcome: str = answer.json()["result"]["_meta"]["callgate/decision"]["outcome"]
    return outcome


def asked(*words: str | Path) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("candidate")
    with keeping_upstream() as upstream, serving(folder, f"http://127.0.0.1:{upstream.port}/mcp") as running:
        answers = [call(running.address, *one) for one in CALLS]
        config = ("--config", folder / "callgate.yaml")
        report = json.loads(asked("candidate", "report", *config, "--json"))
        text = asked("candidate", "report", *config, "--server", "s")
        status = json.loads(asked("status", *config, "--json"))
        metrics = httpx.get(f"http://{running.admin}/metrics", timeout=30).text
        changed = {**NEXT, "tools": {}}

        def reported() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(asked("candidate", "report", *config, "--json"))["candidates"][0]
            return found

        write(folder / "next.json", changed)
        wait_until(lambda: not reported()["counts"], reported)
        call(running.address, "read", {})
        after_reload = reported()
        running.stop()
    return Ran(folder, upstream, answers, report["candidates"][0], text, status, metrics, after_reload)


def test_the_answers_are_those_of_the_policy_in_force(ran: Ran) -> None:
    assert ran.answers == ["ok", "ok", "rate_limited", "ok", "deny"]


def test_only_allowed_calls_reach_the_tool(ran: Ran) -> None:
    reached = [json.loads(one.body)["params"]["name"] for one in ran.upstream.arrived]
    assert reached == ["pay", "pay", "read", "read"]


def test_the_report_has_each_change(ran: Ran) -> None:
    report = ran.report
    assert (report["server"], report["policy"]) == ("s", "next#candidate")
    assert sorted(map(tuple, report["counts"])) == [
        ("allow", "allow", 2),
        ("allow", "deny", 1),
        ("deny", "allow", 1),
        ("rate_limited", "allow", 1),
    ]
    changes = {(one["tool"], one["live"][0]): one for one in report["changes"]}
    assert changes["pay", "allow"]["candidate"] == ["deny", "/tools/pay/deny_if/args.amount-gt"]
    assert changes["pay", "rate_limited"]["candidate"] == ["allow", ""]
    assert [grant for _, grant in changes["write", "deny"]["examples"]] == ["anonymous"]
    assert "60" not in json.dumps(changes["pay", "allow"]["candidate"])
    assert re.match(r"s: next#candidate [0-9a-f]{12}, since .*: 3 of 5 decisions change\n  1 ", ran.text)


def test_status_and_metrics_tell_of_it(ran: Ran) -> None:
    (candidate,) = ran.status["candidates"]
    assert (candidate["server"], candidate["policy"]) == ("s", "next#candidate")
    assert candidate["version"] == ran.report["version"]
    sample = 'callgate_candidate_decisions_total{candidate="deny",live="allow",server="s"} 1.0'
    assert sample in ran.metrics


def test_a_changed_candidate_starts_anew(ran: Ran) -> None:
    assert ran.after_reload["version"] != ran.report["version"]
    assert ran.after_reload["counts"] == [["allow", "deny", 1]]


def test_the_log_has_the_other_answers(ran: Ran) -> None:
    candidates = [line.get("candidate") for line in ran.lines]
    version = ran.report["version"]
    assert candidates[:5] == [
        None,
        {"outcome": "deny", "rule": "/tools/pay/deny_if/args.amount-gt", "policy_version": version},
        {"outcome": "allow", "rule": "", "policy_version": version},
        None,
        {"outcome": "allow", "rule": "", "policy_version": version},
    ]


def test_a_replay_by_the_same_policy_changes_nothing(ran: Ran) -> None:
    before = len(ran.upstream.arrived)
    found = replay([ran.folder / "decisions.jsonl"], ran.folder / "live.json", Choice(server="s"))
    assert (found.decisions, found.same, found.changes) == (6, 6, 0)
    assert len(ran.upstream.arrived) == before


def test_a_replay_by_another_policy_finds_what_the_candidate_found(ran: Ran, tmp_path: Path) -> None:
    policy = tmp_path / "next.json"
    write(policy, NEXT)
    found = replay([ran.folder / "decisions.jsonl"], policy)
    directions = {one: [group.key.tool for group in found.of(one)] for one in ("permissive", "stricter", "unknown")}
    assert directions == {"permissive": ["pay", "write"], "stricter": ["pay"], "unknown": []}
    lines = [(line.get("candidate") or {}).get("outcome") for line in ran.lines[:5]]
    assert lines == [None, "deny", "allow", None, "allow"]
