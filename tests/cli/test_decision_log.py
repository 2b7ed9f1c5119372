"""`callgate serve --decision-log`."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from callgate import Client, ConfigError, Engine, Server
from support.program import ENVIRONMENT, PROGRAM, TIMEOUT_S, refused, sidecar

CALLS = 300
POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "log_args": ["args.region"],
    "tools": {"t": {"limits": [{"counter": "c", "window": "day", "max": 100}]}},
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(POLICY))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("mode", ["best_effort", "required"])
def test_a_stop_loses_no_line(policy: Path, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "decisions.jsonl"
    with sidecar("--policy", policy, "--decision-log", path, "--audit", mode) as running:
        with Client(running.address) as client:
            for number in range(CALLS):
                client.check(
                    grant="g",
                    tool="t",
                    session=f"s{number}",
                    args={"region": "eu", "password": "hunter2"},
                    reserve=True,
                )
        code, err = running.stop()
    assert (code, "audit" in err) == (0, False), err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "hunter2" not in path.read_text()
    found = lines(path)
    assert sorted(line["session"] for line in found) == sorted(f"s{number}" for number in range(CALLS))
    outcomes = [line["outcome"] for line in found]
    assert (outcomes.count("allow"), outcomes.count("rate_limited")) == (100, CALLS - 100)
    assert all(line["args"] == {"args.region": "eu"} for line in found)
    assert all(line["args_keys"] == ["region", "password"] for line in found)


def test_a_full_disk_denies_where_the_log_is_required(policy: Path) -> None:
    with sidecar("--policy", policy, "--decision-log", "/dev/full", "--audit", "required") as running:
        with Client(running.address) as client:
            deadline = time.monotonic() + TIMEOUT_S
            # The first write has to fail before anybody knows.
            while (rule := client.check(grant="g", tool="unknown").rule) != "(audit unavailable)":
                assert rule == "(default deny)"
                assert time.monotonic() < deadline
            decision = client.check(grant="g", tool="t")
            assert (decision.allowed, decision.rule) == (False, "(audit unavailable)")
        with urllib.request.urlopen(f"http://{running.admin}/metrics", timeout=20) as page:
            found = re.search(r"^callgate_audit_dropped_total ([\d.]+)$", page.read().decode(), re.M)
        assert found is not None
        assert float(found[1]) >= 2
        code, err = running.stop()
    assert code == 0
    assert "audit_failed" in err


def test_standard_output_holds_lines_alone(policy: Path) -> None:
    words: list[str | Path] = [
        "--policy",
        policy,
        "--decision-log",
        "-",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]
    process = subprocess.Popen(
        [PROGRAM, "serve", *words],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stderr is not None
            greeting = [process.stderr.readline() for _ in range(5)]
            address = next(line.split()[1] for line in greeting if line.startswith("decisions:"))
            with Client(address) as client:
                client.check(grant="g", tool="t")
            process.terminate()
            out, _ = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
    assert [json.loads(line)["tool"] for line in out.splitlines()] == ["t"]


def test_a_log_has_one_writer(policy: Path, tmp_path: Path) -> None:
    path, link, nothing = tmp_path / "decisions.jsonl", tmp_path / "link.jsonl", tmp_path / "nothing.jsonl"
    link.symlink_to(path)
    nothing.symlink_to(tmp_path / "target")
    serve: list[str | Path] = ["serve", "--policy", policy, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    serve += ["--counters", "memory"]
    with sidecar("--policy", policy, "--decision-log", path) as running:
        for other in (path, link):
            fault = "another callgate writes to it; give each process a decision log of its own"
            assert refused(*serve, "--decision-log", other) == f"cannot open the decision log `{other}`: {fault}"
        with Client(running.address) as client:
            client.check(grant="g", tool="t")
        assert running.stop()[0] == 0
    assert [line["tool"] for line in lines(path)] == ["t"]
    assert "it is a symbolic link to `" in refused(*serve, "--decision-log", nothing)
    assert not (tmp_path / "target").exists()
    assert "it is a symbolic link to `" in refused(*serve, "--counters", f"file:{nothing}")
    # The one before has ended.
    with sidecar("--policy", policy, "--decision-log", link) as running:
        assert running.stop()[0] == 0


def test_wrong_use(policy: Path, tmp_path: Path) -> None:
    serve: list[str | Path] = ["serve", "--policy", policy, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    assert "needs a decision log" in refused(*serve, "--audit", "required")
    missing = tmp_path / "missing" / "log"
    line = refused(*serve, "--decision-log", missing)
    assert line == (
        f"cannot open the decision log `{missing}`: its folder does not exist; create it or choose another path"
    )


@pytest.mark.parametrize(
    ("audit", "fault"),
    [
        ({}, "`path` is missing"),
        ({"path": ""}, "`path`: expected"),
        ({"path": 7}, "`path`: expected"),
        ({"path": "p", "mode": "maybe"}, "`mode`: expected `best_effort` or `required`"),
        ({"path": "p", "max_bytes": -1}, "`max_bytes`: expected a whole number"),
        ({"path": "p", "max_age_s": "1d"}, "`max_age_s`: expected a whole number"),
        ({"path": "p", "keep": 0}, "`keep`: expected"),
        ({"path": "p", "kepe": 1}, "unknown key `kepe`"),
        ({1: "p"}, "expected its keys to be strings"),
    ],
)
def test_faults_of_the_mapping(audit: Any, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        Server(Engine.from_dict(POLICY), audit=audit)


def test_rotation_and_metric(tmp_path: Path) -> None:
    path = tmp_path / "log"
    audit = {"path": path, "max_bytes": 4_000, "keep": 50, "sync_interval_ms": 0}
    with Server(Engine.from_dict(POLICY), workers=1, audit=audit) as server:
        with Client(str(server.address)) as client:
            for number in range(50):
                client.check(grant="g", tool="t", session=str(number))
        server.stop()
        assert server.metrics().audit_dropped == 0
    files = [path, *tmp_path.glob("log.*")]
    assert len(files) > 2
    assert all(file.stat().st_size <= 4_000 for file in files)
    sessions = [line["session"] for file in files for line in lines(file)]
    assert sorted(sessions, key=int) == [str(number) for number in range(50)]
