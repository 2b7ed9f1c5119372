"""The five recommended policies load as they are and cap as they say, from their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callgate import Engine, validate
from support.cases import CASES

SEEDS = sorted(CASES.glob("seeds/*.json"))
WINDOW_MS = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
START_MS = 1_700_000_000_000


def test_there_are_five() -> None:
    assert len(SEEDS) == 5


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_caps_as_it_says(path: Path) -> None:
    document = json.loads(path.read_bytes())
    [(tool, rules)] = document["tools"].items()
    [limit] = rules["limits"]
    window_ms = WINDOW_MS[limit["window"]]
    engine = Engine.from_file(path)
    rule = f"/tools/{tool}/limits/{limit['counter']}"

    # Spread over the window, then one more inside any window: refused until the first one is a window old.
    for number in range(limit["max"]):
        decision = engine.check(grant="g1", tool=tool, args={}, now_ms=START_MS + number)
        assert decision.allowed, decision
        assert decision.limits[0].remaining == limit["max"] - number - 1
    refused = engine.check(grant="g1", tool=tool, args={}, now_ms=START_MS + window_ms - 1)
    assert (refused.outcome, refused.rule, refused.retry_after_ms) == ("rate_limited", rule, 1)
    assert engine.check(grant="g2", tool=tool, args={}, now_ms=START_MS + window_ms - 1).allowed
    assert engine.check(grant="g1", tool=tool, args={}, now_ms=START_MS + window_ms).allowed
    assert not engine.check(grant="g1", tool=tool, args={}, now_ms=START_MS + window_ms).allowed
    other = engine.check(grant="g1", tool="another tool", args={}, now_ms=START_MS)
    assert (other.outcome, other.rule) == ("deny", "(default deny)")


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_validates(path: Path) -> None:
    assert validate(path) == []
