"""Steps of the wall clock while the sidecar runs, made by libfaketime: they refill nothing and freeze nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from callgate import Client
from support.program import ENVIRONMENT, sidecar
from support.wall_clock import WallClock

DAY_S = 86_400
NOON_UNIX_S = 1_772_452_800
"""2026-03-02 12:00 UTC, far from any change of day."""
POLICY = {
    "version": "1",
    "default": "deny",
    "tools": {
        "sliding": {"limits": [{"counter": "s", "window": "hour", "max": 2}]},
        "calendar": {"limits": [{"counter": "c", "window": "day", "max": 2, "align": "calendar"}]},
        "free": {},
    },
}


def test_steps_of_the_wall_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY))
    wall = WallClock(tmp_path)
    wall.set(NOON_UNIX_S)
    for name, value in wall.environment().items():
        monkeypatch.setitem(ENVIRONMENT, name, value)
    with sidecar("--policy", policy) as running, Client(running.address) as client:

        def outcomes(tool: str) -> list[str]:
            return [client.check(grant="g", tool=tool).outcome for _ in range(3)]

        def step(unix_s: int) -> None:
            wall.set(unix_s)
            # The data plane looks at the wall clock every now and then.
            end = time.monotonic() + 30
            while abs(client.check(grant="g", tool="free").decided_at_us / 1e6 - unix_s) > 60:
                assert time.monotonic() < end, "the step was not seen"
                time.sleep(0.02)

        step(NOON_UNIX_S)
        used_up = ["allow", "allow", "rate_limited"]
        nothing_left = ["rate_limited"] * 3
        assert outcomes("sliding") == outcomes("calendar") == used_up
        step(NOON_UNIX_S + DAY_S)
        assert outcomes("sliding") == nothing_left
        assert outcomes("calendar") == used_up
        for back_s in (0, -DAY_S):
            step(NOON_UNIX_S + back_s)
            assert outcomes("sliding") == outcomes("calendar") == nothing_left
