"""`callgate counters`, and the counters of `callgate serve`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from callgate import Client
from callgate.store.place import in_folder
from callgate.store.store import open_store
from support.planes import wait_until
from support.program import ENVIRONMENT, PROGRAM, refused, run, sidecar

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {"t": {"limits": [{"counter": "c", "window": "day", "max": 3}]}},
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(POLICY))
    return path


def remaining(address: str) -> float:
    with Client(address, timeout_ms=20_000) as client:
        return client.check(grant="g", tool="t").limits[0].remaining


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_counts_survive_a_stop_and_a_kill(policy: Path, tmp_path: Path, number: signal.Signals) -> None:
    state = tmp_path / "a" / "state"
    for left in (2, 1, 0):
        with sidecar("--policy", policy, "--state", state) as running:
            assert state.stat().st_mode & 0o777 == 0o700
            assert remaining(running.address) == left
            code, _ = running.stop(number)
        assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        facts = json.loads(run("counters", "show", "--json", state / "counters").out)
        assert (facts["counters"], facts["clean"]) == (1, number == signal.SIGTERM)


def test_the_default_is_the_state_folder(policy: Path, tmp_path: Path) -> None:
    words: list[str | Path] = [
        PROGRAM,
        "serve",
        "--policy",
        policy,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]
    environment = {**ENVIRONMENT, "XDG_STATE_HOME": str(tmp_path)}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as one:
        try:
            assert one.stdout is not None
            while not one.stdout.readline().startswith("ask it:"):
                assert one.poll() is None
            path = tmp_path / "callgate" / "counters"
            assert f"process {one.pid}" in run("counters", "show", path).out
            line = refused("serve", "--policy", policy, "--counters", f"file:{path}")
            assert line.startswith(f"the counters `{path}` are in use by process {one.pid}")
            assert refused("counters", "repair", path).startswith(f"the counters `{path}` are in use")
        finally:
            one.kill()


def test_damage_is_refused_until_it_is_repaired(policy: Path, tmp_path: Path) -> None:
    with sidecar("--policy", policy, "--state", tmp_path) as running:
        assert remaining(running.address) == 2
        running.stop()
    path = tmp_path / "counters"
    content = bytearray(path.read_bytes())
    content[64 * 1024 + 8] ^= 1  # the layout of the first block
    path.write_bytes(content)
    line = refused("serve", "--policy", policy, "--state", tmp_path)
    assert line.startswith(f"the counters `{path}` are damaged: ")
    assert line.endswith(f"`callgate counters repair {path}` keeps what is whole and sets the file aside")
    done = run("counters", "repair", path)
    assert (done.code, done.err) == (0, "")
    assert "kept:     0 counters" in done.out
    assert "1 blocks" in done.out
    assert "state:          closed" in run("counters", "show", path).out
    with sidecar("--policy", policy, "--state", tmp_path) as running:
        assert remaining(running.address) == 2


def test_a_reset_is_in_the_admin_audit(policy: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with sidecar("--policy", policy, "--state", state) as running:
        remaining(running.address)
        wait_until(lambda: ": open since" in run("status", "--state", state).out)
        assert run("counters", "reset", "--state", state, "--grant", "g", "--counter", "c").code == 0
        store = open_store(in_folder(state))
        try:
            [change] = [one.change for one in store.audit.page() if one.change.action == "reset"]
        finally:
            store.close()
    assert (change.by.name, change.kind, change.object_id) == ("operator", "counters", "grant=g counter=c")


def test_damaged_resets_are_shown(policy: Path, tmp_path: Path) -> None:
    """`serve` refuses a file that has any."""
    with sidecar("--policy", policy, "--state", tmp_path) as running:
        assert remaining(running.address) == 2
        for grant in ("g", "h"):
            assert run("counters", "reset", "--state", tmp_path, "--grant", grant).code == 0
        running.stop()
    path = tmp_path / "counters"
    shown = run("counters", "show", path).out
    assert ("resets:         2\n" in shown, "damaged:        nothing was seen" in shown) == (True, True), shown
    content = bytearray(path.read_bytes())
    content[40 * 8] ^= 1  # the first word of the first line of resets
    path.write_bytes(content)
    assert "1 of its resets do not match their checksum" in refused("serve", "--policy", policy, "--state", tmp_path)
    shown = run("counters", "show", path).out
    assert ("resets:         1\n" in shown, "damaged:        1 resets\n" in shown) == (True, True), shown
    facts = json.loads(run("counters", "show", "--json", path).out)
    assert (facts["resets"], facts["resets_damaged"]) == (1, 1)


def test_places_that_cannot_be_had(policy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused("serve", "--policy", policy, "--state", tmp_path / "file" / "below")
    assert line.startswith(f"cannot make the state folder `{tmp_path}/file/below`")
    assert "`memory` or `file:PATH`" in refused("serve", "--policy", policy, "--counters", "redis")
    assert refused("counters", "show", "nope", cwd=tmp_path) == "there are no counters `nope`: no such file"
    assert "is no file of counters" in refused("counters", "show", policy)
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        line = refused("serve", "--policy", policy, "--state", tmp_path / "closed" / "below")
        assert "permission denied" in line


def test_metrics(policy: Path, tmp_path: Path) -> None:
    flushes = re.compile(r'^callgate_store_duration_seconds_count{operation="flush",store="file"} ([0-9.]+)$', re.M)
    with sidecar("--policy", policy, "--state", tmp_path) as running:
        # A flush a second.
        end = time.monotonic() + 20
        while True:
            with urllib.request.urlopen(f"http://{running.admin}/metrics", timeout=20) as response:
                page = response.read().decode()
            found = flushes.search(page)
            assert found is not None, page
            if float(found[1]) > 0:
                break
            assert time.monotonic() < end, page
            time.sleep(0.1)
    assert 'callgate_store_errors_total{operation="flush",store="file"} 0.0' in page
