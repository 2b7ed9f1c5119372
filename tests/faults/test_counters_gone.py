"""The file of counters is taken away while a sidecar uses it: it is not ready, and tells at its end what is lost."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from support.program import TIMEOUT_S, Sidecar, sidecar
from support.setup import until

POLICY = {
    "version": "1",
    "default": "deny",
    "tools": {"t": {"limits": [{"counter": "c", "window": "day", "max": 5}]}},
}


def readiness(running: Sidecar) -> tuple[int, str]:
    return page(running, "/readyz")


def page(running: Sidecar, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(running.admin, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("is_put_back", [False, True], ids=["gone", "put back"])
def test_counters_that_are_removed_in_use(tmp_path: Path, is_put_back: bool) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    state = tmp_path / "state"
    with sidecar("--policy", policy, "--state", state) as running:
        assert readiness(running) == (200, "ready\n")
        assert "\ncallgate_ready 1.0\n" in page(running, "/metrics")[1]
        counters = state / "counters"
        counters.rename(state / "elsewhere")
        until(lambda: readiness(running)[0] == 503)
        _, text = readiness(running)
        assert "\ncallgate_ready 0.0\n" in page(running, "/metrics")[1]
        assert text.startswith(f"not ready\nthe counters `{counters}` were removed or replaced while they are in use: ")
        if is_put_back:
            (state / "elsewhere").rename(counters)
            until(lambda: readiness(running) == (200, "ready\n"))
        code, log = running.stop()
    lost = [line for line in log.splitlines() if "counters_lost" in line]
    assert (code, len(lost)) == ((0, 0) if is_put_back else (1, 1)), log
    if lost:
        assert str(counters) in lost[0]
