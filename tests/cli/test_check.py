"""`callgate check`: what it prints, and its exit codes."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.program import PROGRAM, refused, run, sidecar

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "day", "max": 2}]},
        "approve": {"action": "require_approval"},
        "files": {"require": [{"conditions": [{"path": "args.path", "op": "path_within", "value": "/workspace"}]}]},
        "labelled": {"require": [{"conditions": [{"path": "grant.labels.team", "op": "eq", "value": "red"}]}]},
        "mine": {"require": [{"conditions": [{"path": "session", "op": "eq", "value": "s1"}]}]},
        "exact": {"require": [{"conditions": [{"path": "args.n", "op": "eq", "value": 9007199254740993}]}]},
    },
    "categories": {"Destructive": {"hide": True}},
}
DOORS = ["policy", "target"]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policies") / "p.json"
    path.write_text(json.dumps(POLICY))
    return path


@pytest.fixture
def door(request: pytest.FixtureRequest, policy: Path) -> Any:
    """The words that name whom to ask."""
    if request.param == "policy":
        yield ["--policy", policy]
        return
    with sidecar("--policy", policy) as running:
        yield ["--target", running.address]


@pytest.mark.parametrize("door", DOORS, indirect=True)
def test_exit_codes(door: list[str | Path]) -> None:
    words = ["check", *door, "--grant", "g"]
    assert run(*words, "--tool", "t", "--args", "{}").code == 0
    assert run(*words, "--tool", "u").code == 1
    assert run(*words, "--tool", "t", "--repeat", "3").code == 3
    asks = run(*words, "--tool", "approve")
    assert (asks.code, "nobody was asked" in asks.out) == (4, "--policy" in words)
    for option in ("--json", "--repeat=2"):
        asks = run(*words, "--tool", "approve", option)
        assert ("nobody was asked: without --target" in asks.err) is ("--policy" in words)
        assert "nobody" not in asks.out
    assert run(*words, "--tool", "t", "--args", "[]").code == 1
    assert run(*words, "--tool", "labelled", "--label", "team=red").code == 0
    assert run(*words, "--tool", "labelled", "--label", "team=blue").code == 1
    assert run(*words, "--tool", "mine", "--session", "s1").code == 0
    assert run(*words, "--tool", "exact", "--args", '{"n": 9007199254740993}').code == 0
    assert run(*words, "--tool", "exact", "--args", '{"n": 9007199254740992}').code == 1


def test_what_it_prints(policy: Path) -> None:
    done = run("check", "--policy", policy, "--grant", "g", "--tool", "files", "--args", '{"path": "/etc"}')
    first, message, of_policy = done.out.splitlines()
    assert first == "deny /tools/files/require/args.path-path_within"
    assert "/workspace" in message
    assert of_policy.startswith("  policy p ")
    assert done.err == ""


def test_a_message_moves_no_other_text(tmp_path: Path) -> None:
    """It may hold what others wrote: names, and reasons of people."""
    file = tmp_path / "policy.json"
    rules = {
        "require": [{"conditions": [{"path": "args.to", "op": "eq", "value": 1}], "on_deny": "not \u202ewon\u200b"}]
    }
    file.write_text(json.dumps({"version": "1", "default": "deny", "tools": {"t": rules}}))
    done = run("check", "--policy", file, "--grant", "g", "--tool", "t", "--args", "{}")
    assert "not \\u{202e}won\\u{200b}\n" in done.out


def test_repeat(policy: Path) -> None:
    done = run("check", "--policy", policy, "--grant", "g", "--tool", "t", "--repeat", "4")
    *lines, summary = done.out.splitlines()
    assert lines[:2] == ["1 allow", "2 allow"]
    assert lines[2].startswith("3 rate_limited /tools/t/limits/c retry after 86")
    assert summary == "2 allow, 2 rate_limited"


def test_json(policy: Path) -> None:
    done = run("check", "--policy", policy, "--grant", "g", "--tool", "t", "--json", "--repeat", "3")
    outcomes = [json.loads(line)["outcome"] for line in done.out.splitlines()]
    assert outcomes == ["allow", "allow", "rate_limited"]


def test_explain(policy: Path) -> None:
    words: list[str | Path] = [
        "check",
        "--policy",
        policy,
        "--grant",
        "g",
        "--tool",
        "files",
        "--args",
        '{"path": 5}',
        "--explain",
    ]
    done = run(*words)
    assert done.code == 1
    assert "require: /tools/files/require/args.path-path_within error" in done.out
    assert "    args.path path_within: met a number: error" in done.out
    explained = json.loads(run(*words, "--json").out)
    assert explained["decision"]["outcome"] == "deny"
    assert explained["steps"][-1]["conditions"][0]["met"] == ["a number"]


def test_arguments_from_a_file(policy: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["check", "--policy", policy, "--grant", "g", "--tool", "files", "--args"]
    (tmp_path / "args.json").write_text('{"path": "/workspace/a"}')
    assert run(*words, "@args.json", cwd=tmp_path).code == 0
    (tmp_path / "args.json").write_bytes(b'{"path": "\xff"}')
    done = run(*words, "@args.json", cwd=tmp_path)
    assert (done.code, done.out.splitlines()[0]) == (1, "deny (invalid request)")
    assert refused(*words, "@nope.json", cwd=tmp_path) == "cannot read `nope.json`: no such file or directory"


def test_catalogue(policy: Path, tmp_path: Path) -> None:
    facts = {"version": "1", "servers": {"srv": {"tools": {"t": {"category": "Destructive"}}}}}
    (tmp_path / "c.json").write_text(json.dumps(facts))
    words: list[str | Path] = [
        "check",
        "--policy",
        policy,
        "--catalogue",
        tmp_path / "c.json",
        "--grant",
        "g",
        "--tool",
        "t",
    ]
    assert run(*words).out.splitlines()[0] == "deny (hidden)"
    assert run(*words, "--server", "other").out.splitlines()[0] == "allow"


def test_plain_where_piped(policy: Path) -> None:
    assert "\x1b" not in run("check", "--policy", policy, "--grant", "g", "--tool", "t").out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--grant", "g", "--tool", "t"],
        ["--grant", "g", "--tool", "t", "--policy", "p.json", "--target", "127.0.0.1:1"],
        ["--grant", "g", "--policy", "p.json"],
        ["--tool", "t", "--policy", "p.json"],
        ["--grant", "g", "--tool", "t", "--target", "127.0.0.1:1", "--explain"],
        ["--grant", "g", "--tool", "t", "--target", "127.0.0.1:1", "--catalogue", "c.json"],
        ["--grant", "g", "--tool", "t", "--policy", "p.json", "--explain", "--repeat", "2"],
        ["--grant", "g", "--tool", "t", "--policy", "p.json", "--label", "team"],
        ["--grant", "g", "--tool", "t", "--policy", "p.json", "--repeat", "0"],
        ["--grant", "g", "--tool", "t", "--policy", "nope.json"],
    ],
    ids=" ".join,
)
def test_wrong_use(words: list[str], policy: Path) -> None:
    done = run("check", *words, cwd=policy.parent)
    assert (done.code, done.out) == (2, "")
    assert done.err


def test_nobody_answers() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{held.getsockname()[1]}"
        line = refused("check", "--target", target, "--grant", "g", "--tool", "t")
    assert line == (
        f"no decision from `{target}`: cannot connect: connection refused; check --target, or start a sidecar with "
        "`callgate serve`"
    )


def test_an_answer_that_cannot_be_written_is_no_denial(policy: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PROGRAM, "check", "--policy", policy, "--grant", "g", "--tool", "t"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "input or output failed: no space left on device\n")
