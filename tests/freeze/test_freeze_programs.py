"""Freezes in running programs: a sidecar, the gateway, and a wrap."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.request
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from callgate import Client
from callgate.store.model import Actor
from callgate.store.place import in_folder
from callgate.store.store import open_store
from callgate.store.targets import Target
from support.gateway.faulty import faulty_server
from support.gateway.running import gateway
from support.program import refused, run, sidecar
from support.stdio.wrapped import ALLOW, PROGRAMS, Talk, call, wrapping

if TYPE_CHECKING:
    from collections.abc import Callable

    import callgate

TIMEOUT_S = 30.0
POLICY: dict[str, Any] = {"version": "1", "name": "p", "default": "allow"}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(POLICY))
    return path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def command(state: Path, *words: str) -> str:
    """Runs a command that must succeed; gives its output."""
    done = run(words[0], "--state", state, *words[1:])
    assert done.code == 0, done
    return done.out


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_an_open_stream_obeys(policy: Path, state: Path) -> None:
    with sidecar("--policy", policy, "--state", state) as serving, Client(serving.address) as client:
        calls: SimpleQueue[callgate.Call | None] = SimpleQueue()
        decisions = client.check_stream(iter(calls.get, None))

        def rule() -> str:
            calls.put({"grant": "g", "tool": "t"})
            return next(decisions).rule

        assert rule() == ""
        assert "in force: the sidecar" in command(state, "freeze", "--grant", "g", "--reason", "stop")
        assert rule() == "(frozen)"
        assert client.check(grant="h", tool="t").rule == ""
        assert "in force: the sidecar" in command(state, "thaw", "--grant", "g")
        assert rule() == ""
        # Without any command: as another program writes it.
        row = {"reason": "r", "at": "2026-11-23T16:00:00Z", "by": "ada"}
        (state / "new").write_text(json.dumps({"version": "1", "freezes": [row]}))
        (state / "new").rename(state / "freeze.json")
        until(lambda: rule() == "(frozen)")
        (state / "freeze.json").unlink()
        until(lambda: rule() == "")
        calls.put(None)
        assert list(decisions) == []


def test_a_restart_and_a_kill_keep_freezes(policy: Path, state: Path) -> None:
    with sidecar("--policy", policy, "--state", state) as serving:
        command(state, "freeze", "--all", "--reason", "stop")
        serving.process.kill()
        serving.process.wait()
    with sidecar("--policy", policy, "--state", state) as serving, Client(serving.address) as client:
        assert client.check(grant="g", tool="t").rule == "(frozen)"
        assert "freezes:       all calls are denied; frozen by " in command(state, "status")
        code, log = serving.stop()
    assert code == 0
    assert "freezes_changed" in log


def test_a_frozen_call_is_403_and_logged_as_usual(policy: Path, state: Path, tmp_path: Path) -> None:
    log = tmp_path / "decisions"
    with sidecar("--policy", policy, "--state", state, "--decision-log", log) as serving:
        command(state, "freeze", "--server", "srv", "--reason", "stop")
        call = {"grant": "g", "tool": "t"}
        answer = httpx.post(f"http://{serving.address}/v1/check", json=call, timeout=TIMEOUT_S)
        assert (answer.status_code, answer.json()["rule"]) == (403, "(frozen)")
        metrics = page(serving.admin, "/metrics")
        assert 'callgate_freezes{scope="server"} 1.0' in metrics
        assert 'callgate_freezes{scope="all"} 0.0' in metrics
        assert "callgate_freezes_refused 0.0" in metrics
        assert serving.stop()[0] == 0
    [line] = [json.loads(line) for line in log.read_text().splitlines()]
    assert (line["rule"], line["grant"], line["tool"], line["policy"]) == ("(frozen)", "g", "t", "p")


def page(admin: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{admin}{path}", timeout=TIMEOUT_S) as response:
        text: str = response.read().decode()
        return text


def test_a_damaged_file_leaves_the_freezes_in_force(policy: Path, state: Path) -> None:
    with sidecar("--policy", policy, "--state", state) as serving, Client(serving.address) as client:
        command(state, "freeze", "--all", "--reason", "stop")
        (state / "freeze.json").write_text('{"version": "1", "freezes": [')
        until(lambda: "the freezes from before stay in force" in page(serving.admin, "/readyz"))
        assert page(serving.admin, "/readyz").startswith("ready\n")
        assert client.check(grant="g", tool="t").rule == "(frozen)"
        assert "callgate_freezes_refused 1.0" in page(serving.admin, "/metrics")
        status = command(state, "status")
        assert f"these stay in force, because the file cannot be read: {state / 'freeze.json'}:1:" in status
        message = refused("freeze", "--state", state, "--grant", "g", "--reason", "r")
        assert message.startswith(f"{state / 'freeze.json'}:1:")
        assert message.endswith("; mend the file, or remove it, which thaws all that it freezes")
        (state / "freeze.json").unlink()
        until(lambda: client.check(grant="g", tool="t").rule == "")
        assert "freezes:       none" in command(state, "status")
        code, log = serving.stop()
    assert code == 0
    assert "freezes_failed" in log
    assert "freezes_recovered" in log


def test_a_damaged_file_refuses_the_start(policy: Path, state: Path) -> None:
    state.mkdir()
    (state / "freeze.json").write_text("[]")
    message = refused("serve", "--policy", policy, "--state", state, "--listen", "127.0.0.1:0")
    assert message == f"{state / 'freeze.json'}:1:1: expected a file of freezes as an object, got a list"


def test_a_sidecar_that_cannot_read_it_is_no_success(policy: Path, state: Path) -> None:
    with sidecar("--policy", policy, "--state", state) as serving:
        os.kill(serving.process.pid, 19)
        done = run("freeze", "--state", state, "--all", "--reason", "stop")
        assert done.code == 1, done
        assert "NOT confirmed by the sidecar" in done.err
        assert "did not answer within 3 s" in done.err
        os.kill(serving.process.pid, 18)
        with Client(serving.address) as client:
            until(lambda: client.check(grant="g", tool="t").rule == "(frozen)")


def test_an_open_session_of_the_gateway_obeys(tmp_path: Path) -> None:
    with faulty_server() as upstream, gateway(tmp_path, {"s": upstream.url}, POLICY) as running:
        with httpx.Client(timeout=TIMEOUT_S) as client:
            headers = {"accept": "application/json, text/event-stream"}

            def ask(method: str, **params: Any) -> dict[str, Any]:
                message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                answer = client.post(running.url("s"), json=message, headers=headers)
                if "mcp-session-id" in answer.headers:
                    headers["mcp-session-id"] = answer.headers["mcp-session-id"]
                assert answer.status_code == 200, answer.text
                read: dict[str, Any] = answer.json()["result"]
                return read

            info = {"name": "c", "version": "1"}
            ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=info)
            assert not ask("tools/call", name="open", arguments={}).get("isError")
            command(tmp_path / "state", "freeze", "--server", "s", "--tool", "o*", "--reason", "stop")
            frozen = ask("tools/call", name="open", arguments={})
            assert frozen["isError"]
            assert frozen["_meta"]["callgate/decision"]["rule"] == "(frozen)"
            assert frozen["content"][0]["text"] == (
                "an operator has stopped all calls of this tool; do not repeat this one; the reason: stop"
            )
            assert [tool["name"] for tool in ask("tools/list")["tools"]] == ["open", "secret", "small"]
            assert not ask("tools/call", name="small", arguments={}).get("isError")
            command(tmp_path / "state", "thaw", "--server", "s", "--tool", "o*")
            assert not ask("tools/call", name="open", arguments={}).get("isError")
        assert len(upstream.asked("tools/call")) == 3


def test_two_commands_at_once_lose_no_freeze(state: Path) -> None:
    grants = [f"g{number}" for number in range(6)]
    threads = [
        threading.Thread(target=command, args=(state, "freeze", "--grant", grant, "--reason", "r")) for grant in grants
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    rows = json.loads((state / "freeze.json").read_text())["freezes"]
    assert sorted(row["grant"] for row in rows) == grants
    assert (state / "freeze.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in state.iterdir()] == ["freeze.json"]


def test_a_wrap_obeys_the_freezes_of_its_state_folder(tmp_path: Path, state: Path) -> None:
    recorder = [sys.executable, str(PROGRAMS / "recorder.py"), str(tmp_path / "kept")]
    words = wrapping(tmp_path, recorder, "--state", state, "--pinning", "off", policy=ALLOW)
    command(state, "freeze", "--server", "srv", "--reason", "stop")
    with Talk(words) as talk:
        talk.send(call(1, "open"))
        reply = talk.reply()["result"]
        assert reply["isError"]
        assert "all calls at this server" in reply["content"][0]["text"]
        done = command(state, "thaw", "--server", "srv")
        assert "no sidecar runs with the state folder" in done

        def passes() -> bool:
            talk.send(call(2, "open"))
            return not talk.reply()["result"].get("isError")

        until(passes)
        command(state, "freeze", "--grant", "anonymous", "--reason", "stop")
        until(lambda: not passes())
    (state / "freeze.json").write_text("{")
    with Talk(words) as talk:
        assert talk.code() == 2
        assert f"{state / 'freeze.json'}:1:2: " in talk.errors()


def test_a_wrap_obeys_the_freezes_of_the_store(tmp_path: Path, state: Path) -> None:
    recorder = [sys.executable, str(PROGRAMS / "recorder.py"), str(tmp_path / "kept")]
    words = wrapping(tmp_path, recorder, "--state", state, "--pinning", "off", policy=ALLOW)
    store, by = open_store(in_folder(state)), Actor("ann", "test")
    made = store.freezes.freeze("f1", Target(server="srv"), "stop", by, time.time_ns() // 1_000)

    def is_frozen(talk: Talk) -> bool:
        talk.send(call(1, "open"))
        return bool(talk.reply()["result"].get("isError"))

    with Talk(words) as talk:
        until(lambda: is_frozen(talk))
        # The first of the next process: it was read last.
        until((state / "freeze.store.json").exists)
    with Talk(words) as talk:
        assert is_frozen(talk)
        store.freezes.thaw(made.id, by, "over", time.time_ns() // 1_000)
        until(lambda: not is_frozen(talk))
    store.close()
