"""A sidecar that has used up its file descriptors."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from callgate import Client
from support.program import TIMEOUT_S, Sidecar, sidecar
from support.setup import Setup, credential, until

SPARE = 16
CROWD = 3 * SPARE

RESERVED_PART = 8
"""So many-th part of a low limit connections leave to others."""

HARD, SOFT = 256, 96


def descriptors(running: Sidecar) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


def test_connections_that_are_open_go_on_and_the_others_wait(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"version": "1", "default": "deny", "tools": {"open": {}}}')
    started_s = time.monotonic()
    with sidecar("--policy", policy, "--log-format", "json") as running, ExitStack() as stack:
        kept = stack.enter_context(Client(running.address, timeout_ms=TIMEOUT_S * 1_000))
        assert kept.check(grant="g", tool="open").allowed
        # The control plane has opened its files and ports by then.
        until(lambda: httpx.get(f"http://{running.admin}/login").status_code == http.client.OK)
        limit = descriptors(running) + SPARE
        _, hard = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (limit, hard))

        host, port = running.address.split(":")
        with ExitStack() as crowd:
            for _ in range(CROWD):
                # The kernel takes them in; the sidecar cannot.
                crowd.enter_context(socket.create_connection((host, int(port)), timeout=TIMEOUT_S))
            while descriptors(running) < limit - limit // RESERVED_PART:
                assert time.monotonic() - started_s < TIMEOUT_S
            # Long enough for many tries to accept, each of which would be a line if it were told.
            until_s = time.monotonic() + 1
            while time.monotonic() < until_s:
                assert kept.check(grant="g", tool="open").allowed

        with Client(running.address, timeout_ms=TIMEOUT_S * 1_000) as late:
            assert late.check(grant="g", tool="open").allowed
        code, err = running.stop()
    assert code == 0
    lines = [json.loads(line) for line in err.splitlines()]
    failures = [line for line in lines if line["event"] == "accept_failed"]
    periods = 1 + int((time.monotonic() - started_s) / 10)
    assert 1 <= len(failures) <= periods, err
    assert "open files" in failures[0]["error"]


def test_connections_leave_descriptors_for_a_revocation_and_for_probes(tmp_path: Path) -> None:
    token, token_hash = credential()
    grant = {"id": "a", "server": "s", "policy": "p", "token_hash": token_hash}
    setup = Setup(tmp_path)
    setup.write("grants.json", {"grants": [grant]})
    setup.configure(grants_file="grants.json")
    with setup.serving(through=("prlimit", f"--nofile={SOFT}:{HARD}")) as running, ExitStack() as stack:
        assert resource.prlimit(running.sidecar.process.pid, resource.RLIMIT_NOFILE) == (HARD, HARD)
        kept = stack.enter_context(Client(running.address, timeout_ms=TIMEOUT_S * 1_000))
        assert kept.check(grant_token=token, tool="t").allowed
        host, port = running.address.split(":")
        with ExitStack() as crowd:
            for _ in range(2 * HARD):
                crowd.enter_context(socket.create_connection((host, int(port)), timeout=TIMEOUT_S))
            until(lambda: descriptors(running.sidecar) >= HARD - HARD // RESERVED_PART)
            with running.reload():
                setup.write("grants.json", {"grants": [{**grant, "revoked": True}]})
            assert kept.check(grant_token=token, tool="t").rule == "(grant revoked)"
            assert running.get("/readyz") == "ready\n"
            assert descriptors(running.sidecar) < HARD
        events = running.stop()
    told = next(event["error"] for event in events if event["event"] == "accept_failed")
    assert f"of {HARD} that are allowed, {HARD // RESERVED_PART} are kept" in told


def test_a_control_plane_without_descriptors_starts_once_there_are_some(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"version": "1", "default": "deny", "tools": {"open": {}}}')
    with sidecar("--policy", policy, "--log-format", "json") as running:
        _, hard = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
        # Before the libraries of the control plane are there: calls are answered first.
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (1, hard))
        time.sleep(1)
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
        until(lambda: httpx.get(f"http://{running.admin}/login", timeout=TIMEOUT_S).status_code == http.client.OK)
        code, err = running.stop()
    assert code == 0
    assert all(json.loads(line) for line in err.splitlines()), err
