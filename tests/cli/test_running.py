"""`callgate status`, `limits`, `tail`, `top` and `counters reset`: what a running sidecar says of itself."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from callgate import Client
from callgate.cli.tail import _line as tail_line
from support.program import PROGRAM, TIMEOUT_S, refused, run, sidecar

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "day", "max": 2}]},
        "u": {"mode": "shadow", "limits": [{"counter": "d", "window": "day", "max": 9, "scope": "args.region"}]},
    },
}
TOKEN = "t" * 40


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(POLICY))
    return path


def wait_until(holds: Callable[[], bool]) -> None:
    """Waits for a reload, which happens at a time of its own; each look takes as long as a program's start."""
    assert any(holds() for _ in range(100))


def test_status_and_limits_of_a_sidecar(policy: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with sidecar("--policy", policy, "--state", state, "--grace", "1") as serving:
        with Client(serving.address) as client:
            client.check(grant="g", tool="t")
        status = run("status", "--state", state)
        assert status.code == 0, status
        lines = status.out.splitlines()
        assert lines[0].endswith(": ready")
        rows = dict(line.split(": ", 1) for line in lines[1:])
        assert {name: rows[name].strip() for name in ("state", "decisions", "admin", "pins waiting")} == {
            "state": str(state),
            "decisions": serving.address,
            "admin": serving.admin,
            "pins waiting": "none",
        }
        assert rows["counters"].strip() == f"1 of 1048576, in file:{state / 'counters'}"
        document = json.loads(run("status", "--state", state, "--json").out)
        assert [policy["name"] for policy in document["policies"]] == ["p"]
        assert document["configuration"]["newer_refused"] is None

        policy.write_text("{")
        serving.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "newer one is refused" in run("status", "--state", state).out)
        assert "the newer one is refused: " in run("status", "--state", state).out

        for _ in range(2):
            limits = run("limits", "--state", state, "--grant", "g", "--tool", "t")
            assert limits.code == 0, limits
            assert limits.out.splitlines()[1].startswith("c  1 of 2 left  all in ")
            assert limits.out.splitlines()[2:] == ["a call now: allow"]
        every = run("limits", "--state", state, "--grant", "g").out.splitlines()
        assert every[2] == ("d  ? of 9 left  counted by `args.region`: name it  /tools/u/limits/d (in shadow)")
        named = run("limits", "--state", state, "--grant", "g", "--tool", "u", "--args", '{"region": "eu"}', "--json")
        assert json.loads(named.out)["limits"][0]["remaining"] == 9
        with Client(serving.address) as client:
            client.check(grant="g", tool="t")
        empty = run("limits", "--state", state, "--grant", "g", "--tool", "t").out
        assert "a call now: rate_limited /tools/t/limits/c, free in " in empty
        assert run("limits", "--state", state, "--grant", "g", "--args", "{").code == 2
        code, err = serving.stop()
    assert code == 0, err
    assert not (state / "control.sock").exists()
    assert refused("status", "--state", state).startswith(
        f"no sidecar runs with the state folder `{state}`: there is no"
    )


def test_the_folder_is_found_as_serve_finds_it(policy: Path, tmp_path: Path) -> None:
    variables = {"CALLGATE_STATE": tmp_path / "state"}
    with sidecar("--policy", policy, "--state", tmp_path / "state"):
        assert run("status", variables=variables).code == 0
        configuration = tmp_path / "callgate.yaml"
        configuration.write_text(f"state: {tmp_path / 'state'}\n")
        assert run("status", "--config", configuration).code == 0


def test_status_tells_the_policy_and_the_fault_of_a_server(policy: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/mcp"
    with sidecar("--policy", policy, "--state", state, "--upstream", f"a={url}"):
        wait_until(lambda: "does not answer" in run("status", "--state", state).out)
        shown = run("status", "--state", state).out
        assert "a (policy p, behind the gateway); does not answer as an MCP server: " in shown
        (server,) = json.loads(run("status", "--state", state, "--json").out)["servers"]
        assert (server["policy"], server["gateway"]) == ("p", True)
        assert server["fault"] in shown


def test_a_second_sidecar_says_that_it_is_not_reached(policy: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    memory = ("--policy", policy, "--state", state, "--counters", "memory", "--grace", "1")
    with sidecar(*memory) as first, sidecar(*memory) as second:
        document = json.loads(run("status", "--state", state, "--json").out)
        assert document["pid"] == first.process.pid
        code, err = second.stop()
        assert (code, "no_control_socket" in err, "another sidecar has the control socket" in err) == (0, True, True)
        assert run("status", "--state", state).code == 0
        # As a kill leaves it: the next one replaces it.
        first.process.kill()
        first.process.wait()
    assert (state / "control.sock").is_socket()
    assert "which a killed one has left" in refused("status", "--state", state)
    with sidecar(*memory) as third:
        assert json.loads(run("status", "--state", state, "--json").out)["pid"] == third.process.pid


def test_limits_are_those_of_the_server_of_the_grant(policy: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "callgate.yaml"
    configuration.write_text(
        f"servers: {{aws: {{}}, shop: {{}}}}\npolicies: {{p: {policy.name}}}\ncounters: memory\n"
        f"state: {tmp_path / 'state'}\n"
        "grants:\n  - {id: one, server: aws, policy: p}\n  - {id: two, servers: {aws: p, shop: p}}\n"
    )
    with sidecar("--config", configuration):
        limits = ("limits", "--config", configuration, "--tool", "t", "--grant")
        one = run(*limits, "one")
        assert (one.code, one.out.splitlines()[2:]) == (0, ["a call now: allow"]), one
        assert "`server` (--server) is missing; expected one of `aws`, `shop`" in refused(*limits, "two")
        assert run(*limits, "two", "--server", "shop").code == 0


def test_the_admin_port_with_a_token(policy: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    configuration = tmp_path / "callgate.yaml"
    configuration.write_text(
        f"servers: {{srv: {{policy: p}}}}\npolicies: {{p: {policy.name}}}\nadmin: {{token_file: token}}\n"
        f"state: {tmp_path / 'state'}\ncounters: memory\n"
    )
    with sidecar("--config", configuration) as serving:
        admin = ("--admin", f"http://{serving.admin}", "--admin-token-file", token)
        status = run("status", *admin)
        assert (status.code, "srv (policy p)" in status.out) == (0, True), status
        assert TOKEN not in status.out
        # Another token is in force once the file is read again.
        token.write_text("u" * 40)
        wait_until(lambda: run("status", *admin).code == 0)
    token.write_text("short")
    assert "expected a token of at least 32" in refused("serve", "--config", configuration)
    assert run("status", "--admin", "http://127.0.0.1:1").code == 2
    assert run("status", "--admin", "nowhere", "--admin-token-file", token).code == 2
    token.write_text(TOKEN)
    token.chmod(0o644)
    assert f"other users may read the token `{token}`; chmod 600 it" in run("config", "check", configuration).out


@pytest.mark.parametrize("can_be_made", [True, False])
def test_status_makes_nothing(policy: Path, tmp_path: Path, *, can_be_made: bool) -> None:
    """The state folder is gone, and may not even be made again."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    configuration = tmp_path / "callgate.yaml"
    state = tmp_path / "run" / "state"
    configuration.write_text(
        f"servers: {{srv: {{policy: p}}}}\npolicies: {{p: {policy.name}}}\nadmin: {{token_file: token}}\n"
        f"state: {state}\ngrace: 1s\n"
    )
    with sidecar("--config", configuration, "--state", state) as serving:
        # What has not begun yet could make the folder anew.
        wait_until(lambda: ".db: open since" in run("status", "--state", state).out)
        shutil.rmtree(state.parent)
        if not can_be_made:
            state.parent.write_text("no folder")
        status = run("status", "--admin", f"http://{serving.admin}", "--admin-token-file", token)
        assert (status.code, status.err) == (0, ""), status
        assert f"in file:{state / 'counters'}" in status.out
        assert not state.is_dir()


@contextmanager
def following(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`callgate tail` that follows the decisions already, killed at the end if it still runs."""
    process = subprocess.Popen(
        [PROGRAM, "tail", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        assert process.stderr is not None
        columns = "" if "--json" in words else " (time in UTC, outcome, grant, server/tool, rule, duration)"
        assert process.stderr.readline() == f"following the decisions{columns}; Ctrl-C ends it\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_tail_and_top_of_a_sidecar(policy: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with sidecar("--policy", policy, "--state", state, "--counters", "memory", "--grace", "1") as serving:
        with (
            following("--state", state, "--outcome", "deny", "--count", "2", "--json") as tail,
            Client(serving.address) as client,
        ):
            for tool in ("t", "v", "w"):
                client.check(grant="g", tool=tool)
            out, _ = tail.communicate(timeout=TIMEOUT_S)
            assert tail.returncode == 0
            denied = [json.loads(line) for line in out.splitlines()]
        assert [(one["tool"], one["rule"]) for one in denied] == [("v", "(default deny)"), ("w", "(default deny)")]

        top = run("top", "--state", state, "--interval", "0.1")
        assert top.code == 0, top
        assert top.out.startswith("decisions: 0.0/s  (allow 0.0, deny 0.0, "), top
        assert [line.split()[-1] for line in top.out.splitlines() if line.startswith("     per s")] == [
            "grant",
            "tool",
            "by",
        ]
        numbers = json.loads(run("top", "--state", state, "--interval", "0.1", "--once", "--json").out)
        assert (numbers["outcomes"], numbers["latency_ns"]) == ({}, None)

        with following("--state", state) as tail:
            with Client(serving.address) as client:
                client.check(grant="g\x1b[2J", tool="v")
            code, err = serving.stop()
            assert code == 0, err
            out, err = tail.communicate(timeout=TIMEOUT_S)
            assert (tail.returncode, err) == (0, "the sidecar has stopped\n")
            line = r"\d\d:\d\d:\d\d\.\d{3}  deny {15}g\\u\{1b\}\[2J  srv/v  \(default deny\)  [\d.]+ us\n"
            assert re.fullmatch(line, out), out
    assert refused("tail", "--state", state).startswith("no sidecar runs with the state folder")
    assert refused("top", "--state", state).startswith("no sidecar runs with the state folder")


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        ("allow", "(people agreed: abcd)"),
        ("approval_required", "(waits for people: abcd)"),
        ("deny", "(approval abcd)"),
    ],
)
def test_a_line_names_the_approval(outcome: str, shown: str) -> None:
    """Sidecars tell it where a decision has one."""
    decision = {"outcome": outcome, "grant": "g", "server": "s", "tool": "t", "rule": "/r", "duration_ns": 1_000}
    line = tail_line({**decision, "decided_at_us": 0, "approval": "abcd"})
    assert line == f"00:00:00.000  {outcome:<17}  g  s/t  /r  {shown}  1.0 us"
    assert tail_line({**decision, "decided_at_us": 0}) == f"00:00:00.000  {outcome:<17}  g  s/t  /r  1.0 us"


def test_a_reset_of_a_tool_that_nobody_knows_says_so(tmp_path: Path) -> None:
    """A misspelt tool resets nothing, though the limit has counts of tools by name."""
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "{version: '1', default: deny, tools: {create-ami: {}, 'get_*': {}}, all_tools: {limits: ["
        "{counter: c, window: day, max: 2, scope: tool}]}}"
    )
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps({"version": "1", "servers": {"srv": {"tools": {"get_ami": {"category": "Read"}}}}}))
    state = tmp_path / "state"
    with sidecar("--policy", policy, "--catalogue", catalogue, "--state", state, "--grace", "1"):
        for tool in ("create-ami", "get_ami"):
            known = run("counters", "reset", "--state", state, "--tool", tool)
            assert (known.code, known.out, known.err) == (0, "reset: p /all_tools/limits/c\n", ""), known
        wrong = run("counters", "reset", "--state", state, "--tool", "creat-ami")
        assert (wrong.code, wrong.out) == (0, "reset: p /all_tools/limits/c\n"), wrong
        assert wrong.err == (
            "note:  no policy, catalogue or accepted list names the tool `creat-ami`; did you mean `create-ami`? If no "
            "call has that name, nothing was reset\n"
        )
        answer = json.loads(run("counters", "reset", "--state", state, "--tool", "get_am", "--json").out)
        assert (answer["tool_is_known"], answer["nearest_tool"]) == (False, "get_ami")
        answer = json.loads(run("counters", "reset", "--state", state, "--tool", "get_ami", "--json").out)
        assert (answer["tool_is_known"], answer["nearest_tool"]) == (True, None)
        policy.write_text("{version: '1', default: deny, tools: {create-ami: {rate_limit: 2/minute}}}")
        catalogue.unlink()

    # With exact names alone no limit is selected, which is an error.
    with sidecar("--policy", policy, "--state", state, "--grace", "1"):
        wrong = run("counters", "reset", "--state", state, "--tool", "creat-ami")
        assert (wrong.code, "has all of these names; did you mean the tool `create-ami`?" in wrong.err) == (2, True)


def test_a_reset_outlives_the_sidecar(policy: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    serve = ("--policy", policy, "--state", state, "--grace", "1")
    with sidecar(*serve) as serving:
        with Client(serving.address) as client:
            outcomes = [client.check(grant=grant, tool="t").outcome for grant in "ggghhh"]
        assert outcomes == ["allow", "allow", "rate_limited"] * 2
        reset = run("counters", "reset", "--state", state, "--grant", "g", "--tool", "t")
        assert (reset.code, reset.out) == (0, "reset: p /tools/t/limits/c\n"), reset
        with Client(serving.address) as client:
            outcomes = [client.check(grant=grant, tool="t").outcome for grant in "ggh"]
        assert outcomes == ["allow", "allow", "rate_limited"]
        wrong = run("counters", "reset", "--state", state, "--grant", "g", "--counter", "e")
        assert (wrong.code, "has the counter `e`; did you mean `" in wrong.err) == (2, True), wrong
        nobody = run("counters", "reset", "--state", state, "--grant", "nobody")
        assert (nobody.code, "`nobody` had no live counters" in nobody.err) == (0, True), nobody
        assert run("counters", "reset", "--state", state).code == 2
        code, err = serving.stop()
        assert (code, "counters_reset" in err) == (0, True), err
    with sidecar(*serve) as serving, Client(serving.address) as client:
        assert [client.check(grant=grant, tool="t").outcome for grant in "gh"] == ["rate_limited"] * 2
