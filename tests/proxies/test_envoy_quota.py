"""Envoy's quota filter with real Envoys, as `deploy/envoy` configures it."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from support.program import Sidecar, sidecar
from support.proxies.envoy import envoy, upstream
from support.proxies.quotas import QUOTA, call, drive, metric, most_in_a_window, until

if TYPE_CHECKING:
    from pathlib import Path

TTL_S = 10
MARGIN_S = 1
WINDOW_S = 4
MAX = 12

POLICY = f"""
version: "1"
default: deny
tools:
  capped: {{limits: [{{counter: calls, window: {WINDOW_S}s, max: {MAX}, scope: [tool]}}]}}
  open: {{}}
  other: {{rate_limit: 100/hour}}
"""

CONFIG = f"""
servers: {{shop: {{policy: quota}}}}
policies: {{quota: policy.yaml}}
limits: {{quota_ttl: {TTL_S}s, quota_margin: {MARGIN_S}s}}
"""


def decisions(running: Sidecar) -> float:
    """Requests that callgate answered one by one."""
    with urllib.request.urlopen(f"http://{running.admin}/metrics", timeout=30) as response:
        page = response.read().decode()
    return sum(float(number) for number in re.findall(r"^callgate_requests_total\{\S+ (\S+)$", page, re.M))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "callgate.yaml").write_text(CONFIG)
    return tmp_path


def test_two_envoys_share_a_limit_and_ask_nobody(folder: Path) -> None:
    with ExitStack() as stack:
        running = stack.enter_context(sidecar("--config", folder / "callgate.yaml", "--counters", "memory"))
        ports = {8081: stack.enter_context(upstream()), 9191: int(running.address.rpartition(":")[2])}
        proxies = []
        for name in ("first", "second"):
            (folder / name).mkdir()
            proxies.append(stack.enter_context(envoy(QUOTA, ports, folder / name)))

        # Without an assignment every call is denied; the first one asks for it.
        first, second = proxies
        assert call(first, "open") == 429
        until(lambda: call(first, "open") == 200, "no assignment came")
        assert call(first, "hidden") == 429
        # Requests that are no calls pass, and a call whose headers say too little does not.
        assert call(first, "", **{"mcp-method": "tools/list"}) == 200
        assert call(first, "", **{"mcp-method": ""}) == 429
        assert call(first, "open", **{"x-agent": ""}) == 429

        stop = threading.Event()
        admitted: list[list[tuple[float, float]]] = [[], []]
        threads = [
            threading.Thread(target=drive, args=(proxy, stop, noted))
            for proxy, noted in zip(proxies, admitted, strict=True)
        ]
        asked = decisions(running)
        for thread in threads:
            thread.start()
        until(lambda: all(admitted), "one of two Envoys got nothing")
        time.sleep(TTL_S)
        opened = [call(first, "open") for _ in range(200)]
        stop.set()
        for thread in threads:
            thread.join()
        assert opened == [200] * 200, "its assignment was renewed"
        assert most_in_a_window([one for noted in admitted for one in noted], WINDOW_S) <= MAX
        assert decisions(running) == asked, "no call was asked about"
        assert metric(running, 'callgate_quota_tokens_total{event="unexpected"}') == 0
        assert metric(running, 'callgate_quota_tokens_total{event="used"}') > 0

        # The quota ends when callgate has gone.
        assert call(first, "open") == 200
        running.stop()
        until(lambda: call(first, "open") == 429, "the quota does not end")
        assert call(second, "open") == 429
