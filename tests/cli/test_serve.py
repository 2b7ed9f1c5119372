"""`callgate serve`."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from callgate import Client
from support.program import refused, run, sidecar

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {"t": {"limits": [{"counter": "c", "window": "day", "max": 2}]}},
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(POLICY))
    return path


def get(address: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as response:
        text: str = response.read().decode()
        return text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_and_stops(policy: Path, number: signal.Signals) -> None:
    with sidecar("--policy", policy, "--grace", "1") as running:
        assert get(running.admin, "/readyz") == "ready\n"
        with Client(running.address) as client:
            assert client.check(grant="g", tool="t").allowed
        assert 'callgate_decisions_total{outcome="allow",server="(any)",tool="t"} 1.0' in get(running.admin, "/metrics")
        code, err = running.stop(number)
    assert code == 0
    # The store of approvals is opened beside it.
    lines = [line.split()[2] for line in err.splitlines() if not line.split()[2].endswith("_open")]
    assert lines == ["server_started", "server_stopping", "server_stopped"]


def test_the_greeting_can_be_pasted(policy: Path) -> None:
    with sidecar("--policy", policy) as running:
        assert "trusted" in running.said(r"^(warning: .*)")
        pasted = running.said(r"^ask it: +(.*)")
        # In a shell without the program's folder on its PATH, as after `make serve`.
        done = subprocess.run(
            ["sh", "-c", pasted], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout.splitlines()[:1]) == (0, ["allow"]), done


def test_folder_of_policies(tmp_path: Path) -> None:
    folder = tmp_path / "servers"
    folder.mkdir()
    (folder / "cloud.json").write_text(json.dumps(POLICY))
    with sidecar("--policy", folder) as running:
        words = shlex.split(running.said(r"^ask it: +(.*)"))[1:]
        assert run(*words).code == 0
        with Client(running.address) as client:
            assert client.check(grant="g", tool="t").rule == "(unknown server)"


def test_unix_socket(policy: Path, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with sidecar("--policy", policy, "--socket", path) as running:
        with Client(f"unix:{path}") as client:
            assert client.check(grant="g", tool="t").allowed
        assert running.stop()[0] == 0
    assert not path.exists()


def test_socket_of_a_killed_sidecar(policy: Path, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with sidecar("--policy", policy, "--socket", path) as running:
        line = refused(
            "serve", "--policy", policy, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--socket", path
        )
        assert line.startswith(f"cannot create the socket `{path}`: another process listens there")
        running.stop(signal.SIGKILL)
    assert path.is_socket()
    with sidecar("--policy", policy, "--socket", path) as running:
        with Client(f"unix:{path}") as client:
            assert client.check(grant="g", tool="t").allowed
        assert running.stop()[0] == 0
    assert not path.exists()


def test_catalogue(policy: Path, tmp_path: Path) -> None:
    policy.write_text(json.dumps({**POLICY, "categories": {"Destructive": {"hide": True}}}))
    catalogue = tmp_path / "catalogue.json"
    facts = {"version": "1", "servers": {"srv": {"tools": {"t": {"category": "Destructive"}}}}}
    catalogue.write_text(json.dumps(facts))
    with sidecar("--policy", policy, "--catalogue", catalogue) as running, Client(running.address) as client:
        assert client.check(grant="g", tool="t").rule == "(hidden)"


def test_json_logs_tell_of_denials(policy: Path) -> None:
    with sidecar("--policy", policy, "--log-format", "json") as running:
        with Client(running.address) as client:
            client.check(grant="g", tool="other", args={"password": "hunter2"})
        _, err = running.stop()
    events = {line["event"]: line for line in map(json.loads, err.splitlines())}
    assert events["denied"]["rule"] == "(default deny)"
    assert "hunter2" not in err


def test_reload(policy: Path) -> None:
    with sidecar("--policy", policy, "--log-format", "json") as running, Client(running.address) as client:
        assert client.check(grant="g", tool="t").allowed

        policy.write_text("{")
        running.process.send_signal(signal.SIGHUP)
        wait_for(lambda: 'callgate_policy_reloads_total{result="failure"} 1.0' in get(running.admin, "/metrics"))
        assert client.check(grant="g", tool="t").limits[0].remaining == 0

        raised = {"t": {"limits": [{"counter": "c", "window": "day", "max": 3}]}}
        policy.write_text(json.dumps({**POLICY, "tools": raised}))
        running.process.send_signal(signal.SIGHUP)
        wait_for(lambda: 'callgate_policy_reloads_total{result="success"} 2.0' in get(running.admin, "/metrics"))
        assert client.check(grant="g", tool="t").allowed
        assert not client.check(grant="g", tool="t").allowed
        code, err = running.stop()
    assert code == 0
    events = {line["event"]: line for line in map(json.loads, err.splitlines())}
    assert events["reload_failed"]["error"].startswith(f"{policy}:1:")


def wait_for(condition: Any) -> None:
    """Another process's deed: there is nothing to wait on but its result."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ports_in_use(policy: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for option, other in (("--listen", "--admin"), ("--admin", "--listen")):
            line = refused("serve", "--policy", policy, option, address, other, "127.0.0.1:0")
            assert line.startswith(f"cannot listen on `{address}`: address already in use")
            assert option in line


def test_socket_that_exists(policy: Path, tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.touch()
    line = refused("serve", "--policy", policy, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--socket", path)
    assert line.startswith(f"cannot create the socket `{path}`")
    assert path.exists()


def test_policies_that_cannot_be_served(tmp_path: Path) -> None:
    assert refused("serve", "--policy", "nope.json", cwd=tmp_path) == "cannot read `nope.json`: no such file or folder"
    (tmp_path / "bad.json").write_text('{"version": "1",\n "defualt": "deny"}')
    line = refused("serve", "--policy", "bad.json", cwd=tmp_path)
    assert line.startswith("bad.json:2:2: ")
    assert "`defualt`" in line
    (tmp_path / "empty").mkdir()
    assert "no policy in this folder" in refused("serve", "--policy", "empty", cwd=tmp_path)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    assert refused("serve", "--policy", "bytes.json", cwd=tmp_path).startswith("bytes.json:1:1: ")


def test_servers_to_stand_before_that_cannot_be(policy: Path, tmp_path: Path) -> None:
    def line(*words: str) -> str:
        return refused("serve", "--policy", policy, "--listen", "127.0.0.1:0", *words, cwd=tmp_path)

    assert "expected a URL" in line("--upstream", "srv=127.0.0.1:8000")
    for words in (["srv"], ["=http://127.0.0.1:1/"], ["srv="], ["srv=http://127.0.0.1:1/", "srv=http://127.0.0.1:2/"]):
        done = run("serve", "--policy", policy, *(word for text in words for word in ("--upstream", text)))
        assert (done.code, "expected NAME=URL once for each server" in done.err) == (2, True), done
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "srv.json").write_text(policy.read_text())
    said = refused("serve", "--policy", folder, "--upstream", "sr=http://127.0.0.1:1/")
    assert said == "--upstream: no policy in the folder is for this server, unknown server `sr`; did you mean `srv`?"
    for words, said in ((["--config", "callgate.yaml"], "goes with --policy"), ([], "give --policy")):
        done = run("serve", *words, "--upstream", "srv=http://127.0.0.1:1/", cwd=tmp_path)
        assert (done.code, said in done.err) == (2, True), done


def test_catalogue_that_cannot_be_read(policy: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"version": "2", "servers": {}}')
    line = refused("serve", "--policy", policy, "--catalogue", "c.json", cwd=tmp_path)
    assert line.startswith("c.json:1:")


def test_wrong_use() -> None:
    done = run("serve")
    assert done.code == 2
    assert "--policy" in done.err
