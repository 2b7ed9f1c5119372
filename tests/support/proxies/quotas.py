"""Calls through Envoys with quotas, as `deploy/envoy/quota.yaml` configures them."""

from __future__ import annotations

import re
import time
import urllib.request
from typing import TYPE_CHECKING

from support.proxies.envoy import ROOT

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from support.program import Sidecar
    from support.proxies.envoy import Proxy

QUOTA = ROOT / "deploy" / "envoy" / "quota.yaml"


def metric(running: Sidecar, line: str) -> float:
    """A number of the metrics page."""
    with urllib.request.urlopen(f"http://{running.admin}/metrics", timeout=30) as response:
        found = re.search(rf"^{re.escape(line)} (\S+)$", response.read().decode(), re.M)
    assert found is not None, line
    return float(found[1])


def call(proxy: Proxy, tool: str, **headers: str) -> int:
    """The status of one call of a tool."""
    named = {"x-agent": "ann", "mcp-name": tool, "mcp-method": "tools/call", **headers}
    return proxy.send("POST", "/mcp", {name: value for name, value in named.items() if value}, {}).status


def until(condition: Callable[[], bool], why: str) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, why
        time.sleep(0.05)


def drive(proxy: Proxy, stop: threading.Event, admitted: list[tuple[float, float]], tool: str = "capped") -> None:
    """Calls without a pause, and notes between which times each admitted call was admitted."""
    while not stop.is_set():
        before = time.monotonic()
        if call(proxy, tool) == 200:
            admitted.append((before, time.monotonic()))
        else:
            time.sleep(0.02)


def most_in_a_window(admitted: list[tuple[float, float]], window_s: float) -> int:
    """The most calls that were admitted within one window for certain: begun and ended in it."""
    admitted = sorted(admitted)
    return max(
        (
            sum(1 for start, end in admitted[first:] if end - begin < window_s and start >= begin)
            for first, (begin, _) in enumerate(admitted)
        ),
        default=0,
    )
