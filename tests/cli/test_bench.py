"""`callgate bench`, against a sidecar as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram

from callgate import Client
from support.program import ENVIRONMENT, PROGRAM, TIMEOUT_S, refused, run, sidecar

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "charge": {
            "require": [{"name": "amount", "conditions": [{"path": "args.amount", "op": "lte", "value": 100}]}],
            "limits": [{"counter": "c", "window": "day", "max": 1_000_000_000_000}],
        },
        "few": {"limits": [{"counter": "f", "window": "day", "max": 3}]},
    },
}
SHORT = ("--duration", "0.5", "--warmup", "0.1", "--connections", "2", "--streams", "4")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(POLICY))
    return path


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jsonl"
    rows = [{"grant": "g", "tool": "charge", "args": {"amount": 7}}, {"grant": "g", "tool": "unknown"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def report(*words: str | Path) -> dict[str, Any]:
    done = run("bench", *words, *SHORT, "--json")
    assert (done.code, done.err) == (0, ""), done
    document: dict[str, Any] = json.loads(done.out)
    return document


def test_a_sidecar_over_tcp_and_a_socket(policy: Path, calls: Path, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with sidecar("--policy", policy, "--socket", path) as running:
        for target in (running.address, f"unix:{path}"):
            result = report(target, "--calls", calls)["result"]
            assert result["ended"] == "complete"
            assert result["errors"] == {}
            assert result["requests"] > 10
            # The calls take turns.
            assert abs(result["outcomes"]["allow"] - result["outcomes"]["deny"]) <= 8
            assert result["outcomes"]["allow"] + result["outcomes"]["deny"] == result["requests"]
        assert running.stop()[0] == 0


@pytest.mark.parametrize(("method", "size"), [("batch", 8), ("stream", 1)])
def test_batches_and_streams(policy: Path, calls: Path, method: str, size: int) -> None:
    with sidecar("--policy", policy) as running:
        result = report(running.address, "--calls", calls, "--method", method, "--batch-size", str(size))["result"]
        assert running.stop()[0] == 0
    assert (result["ended"], result["errors"]) == ("complete", {})
    assert result["requests"] > 10
    assert sum(result["outcomes"].values()) == result["requests"] * size
    assert result["outcomes"]["allow"] > 0
    assert result["outcomes"]["deny"] > 0


def test_the_report_says_what_was_measured_and_on_what(policy: Path, calls: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    with sidecar("--policy", policy) as running:
        document = report(running.address, "--calls", calls, "--rate", "200", "--output", output)
    assert json.loads(output.read_text()) == document
    assert document["format"] == "callgate-bench/1"
    assert document["machine"]["cores"] >= 1
    options = document["options"]
    assert (options["rate"], options["connections"], options["calls"]) == (200, 2, 2)
    result = document["result"]
    assert result["requests"] + result["generator"]["unsent"] == 100
    assert result["generator"]["delay_us"]["p99"] >= 0
    assert set(result["latency_us"]) == {"mean", "min", "p50", "p90", "p99", "p99.9", "p99.99", "max"}
    assert len(result["intervals"]) >= 2
    # Read by another implementation, which knows the compressed form alone.
    read = HdrHistogram.decode(result["histogram"])
    assert read.get_total_count() == result["requests"]
    # The median: of other percentiles of so few calls, implementations take neighbouring ones.
    assert read.get_value_at_percentile(50) / 1000 == pytest.approx(result["latency_us"]["p50"], rel=0.002)


def test_a_rate_far_above_capacity_is_measured(policy: Path, calls: Path) -> None:
    with sidecar("--policy", policy) as running:
        document = report(running.address, "--calls", calls, "--rate", "100000000")
    result = document["result"]
    assert result["requests"] > 0
    assert sum(result["outcomes"].values()) == result["requests"]
    assert result["latency_us"]["max"] > 0
    assert result["generator"]["unsent"] > result["requests"]


def test_the_percentile_distribution(policy: Path, calls: Path, tmp_path: Path) -> None:
    output, hgrm = tmp_path / "report.json", tmp_path / "latencies.hgrm"
    with sidecar("--policy", policy) as running:
        report(running.address, "--calls", calls, "--output", output, "--hgrm", hgrm)
        printed = run("bench", running.address, "--calls", calls, *SHORT, "--hgrm", "-")
        both = run("bench", running.address, "--calls", calls, *SHORT, "--hgrm", "-", "--json")
    assert (both.code, "--hgrm" in both.err) == (2, True)
    result = json.loads(output.read_text())["result"]
    for text in (hgrm.read_text(), printed.out):
        head, empty, *rows = text.splitlines()
        assert head.split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        assert empty == ""
        assert [row.split("=")[0].strip() for row in rows[-3:]] == ["#[Mean", "#[Max", "#[Buckets"]
        counts = [int(row.split()[2]) for row in rows[:-3]]
        assert counts == sorted(counts)
        assert rows[-2].endswith(f"{counts[-1]:12}]")
    # The same lines as another implementation writes, but for the unit.
    rows = hgrm.read_text().splitlines()[2:-3]
    assert int(rows[-1].split()[2]) == result["requests"]
    assert float(rows[-1].split()[0]) == pytest.approx(result["latency_us"]["max"])


def test_calls_from_a_policy(policy: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.jsonl"
    with sidecar("--policy", policy) as running:
        result = report(running.address, "--policy", policy, "--grants", "5", "--save-calls", saved)["result"]
    made = [json.loads(line) for line in saved.read_text().splitlines()]
    assert {call["tool"] for call in made} >= {"charge", "few", "no-such-tool-1"}
    assert len({call["grant"] for call in made}) == 5
    amounts = [call["args"].get("amount") for call in made if call["tool"] == "charge"]
    assert any(isinstance(amount, int) and amount <= 100 for amount in amounts)
    assert any(not isinstance(amount, int) or amount > 100 for amount in amounts)
    assert result["outcomes"]["allow"] > 0
    assert result["outcomes"]["deny"] > 0
    assert result["outcomes"]["rate_limited"] > 0


def test_for_people(policy: Path, calls: Path) -> None:
    with sidecar("--policy", policy) as running:
        done = run("bench", running.address, "--calls", calls, *SHORT)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith(f"{running.address}: check, 2 connections x 4 streams, closed loop, ")
    assert [line.split()[0] for line in lines[1:6]] == ["requests/s", "decisions", "errors", "bytes", "generator"]
    assert lines[6].split() == ["latency", "p50", "p90", "p99", "p99.9", "p99.99", "max"]
    assert any(line.startswith("note: closed loop") for line in lines)


def test_a_target_that_is_not_there_is_one_line(calls: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    line = refused("bench", address, "--calls", calls)
    assert line == f"`{address}`: cannot connect: connection refused"


def test_bad_input_is_one_line(policy: Path, tmp_path: Path) -> None:
    target = "127.0.0.1:1"
    assert refused("bench", target, "--calls", "nope", cwd=tmp_path) == "cannot read `nope`: no such file or folder"
    good = '{"grant": "g", "tool": "t"}\n'
    (tmp_path / "bad.jsonl").write_text(good * 16 + '{"grant": "g", "tool": 5}\n')
    line = refused("bench", target, "--calls", "bad.jsonl", cwd=tmp_path)
    assert line == "bad.jsonl:17:24: `tool`: expected a string, got number"
    (tmp_path / "bad.json").write_text('{"version": "1",\n "defualt": "deny"}')
    assert refused("bench", target, "--policy", "bad.json", cwd=tmp_path).startswith("bad.json:2:2: ")
    assert "--tls-ca" in refused("bench", "https://127.0.0.1:1", "--policy", policy)
    line = refused("bench", target, "--policy", policy, "--output", tmp_path / "no" / "report.json")
    assert line.startswith("cannot write `")
    line = refused("bench", target, "--policy", policy, "--token-file", "nope", cwd=tmp_path)
    assert line == "cannot read `nope`: no such file or directory"


def test_a_token_is_sent_and_never_shown(calls: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("two words\n")
    line = refused("bench", "127.0.0.1:1", "--calls", calls, "--token-file", "token", cwd=tmp_path)
    assert line.startswith("the token is not usable")
    assert "two words" not in line


def test_a_sidecar_that_dies_is_one_line_after_the_report(policy: Path, calls: Path) -> None:
    with sidecar("--policy", policy) as running:
        bench = started(running.address, "--calls", calls, "--duration", "60", "--json")
        wait_for_load(running.address, bench)
        running.process.kill()
        out, err = bench.communicate(timeout=TIMEOUT_S)
    assert bench.returncode == 2
    assert json.loads(out)["result"]["ended"] == "target vanished"
    assert len(err.splitlines()) == 1
    assert "into the run: connection refused" in err


def test_ctrl_c_prints_what_was_measured(policy: Path, calls: Path) -> None:
    with sidecar("--policy", policy) as running:
        bench = started(running.address, "--calls", calls, "--duration", "60", "--warmup", "0", "--json")
        wait_for_load(running.address, bench)
        os.kill(bench.pid, signal.SIGINT)
        out, err = bench.communicate(timeout=TIMEOUT_S)
    assert (bench.returncode, err) == (130, "")
    result = json.loads(out)["result"]
    assert result["ended"] == "interrupted"
    assert result["requests"] > 0


def wait_for_load(address: str, bench: subprocess.Popen[str]) -> None:
    """The units that the load takes tell that it runs; those of this look are taken off."""
    with Client(address) as client:
        for own in range(1, 1_000_000):
            left = client.check(grant="g", tool="charge", args={"amount": 1}).limits[0].remaining
            if left < 1_000_000_000_000 - own - 100:
                return
            assert bench.poll() is None
    pytest.fail("no load came")


def started(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, "bench", *words],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def test_wrong_use(policy: Path, calls: Path) -> None:
    for words in (
        (),
        ("127.0.0.1:1",),
        ("127.0.0.1:1", "--calls", calls, "--policy", policy),
        ("127.0.0.1:1", "--calls", calls, "--fail-above", "2"),
        ("127.0.0.1:1", "--compare", calls, calls),
        ("127.0.0.1:1", "--calls", calls, "--catalogue", policy),
    ):
        assert run("bench", *words).code == 2, words


@pytest.mark.parametrize("option", ["--duration", "--warmup", "--timeout"])
@pytest.mark.parametrize("value", ["1e300", "inf", "nan", "-1", "-1s", "8d", "2 s", "2sec", ""])
def test_times_without_an_end(option: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "calls").write_text('{"grant": "g", "tool": "t"}\n')
    done = run("bench", "127.0.0.1:1", "--calls", tmp_path / "calls", option, value)
    assert done.code == 2
    assert f"Invalid value for '{option}'" in done.err


@pytest.mark.parametrize(("option", "value"), [("--duration", "0"), ("--duration", "99ms"), ("--timeout", "0")])
def test_times_that_are_too_short(option: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "calls").write_text('{"grant": "g", "tool": "t"}\n')
    done = run("bench", "127.0.0.1:1", "--calls", tmp_path / "calls", option, value)
    assert (done.code, "expected at least" in done.err) == (2, True), done.err


def test_times_with_units(policy: Path, calls: Path) -> None:
    with sidecar("--policy", policy) as running:
        times = ("--duration", "500ms", "--warmup", "0.1", "--timeout", "2s")
        done = run("bench", running.address, "--calls", calls, *times, "--json")
    options = json.loads(done.out)["options"]
    assert [options[key] for key in ("duration_ms", "warmup_ms", "timeout_ms")] == [500, 100, 2000]
