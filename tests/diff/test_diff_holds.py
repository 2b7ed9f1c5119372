"""The verdicts of comparisons, held to the engine's decisions about random calls and sequences."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from callgate import Engine
from callgate.config.faults import InvalidConfigError
from callgate.workbench.diff import Comparison, compare
from callgate.workbench.diff.judges import Rank, rank_of
from callgate.workbench.rules import Policy, parse_policy
from support.policy_pairs import CATEGORIES, TOOLS, calls, pairs
from support.witnesses import replay_all

_SLOW = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def parsed(document: dict[str, Any], name: str) -> Policy:
    try:
        return parse_policy(f"{name}.json", json.dumps({"name": "p", **document}).encode())
    except InvalidConfigError:
        assume(False)
        raise


def engines(document: dict[str, Any]) -> dict[str | None, Engine]:
    """An engine for each category that all tools may have."""
    return {
        category: Engine.from_dict(
            {"name": "p", **document}, catalogue=None if category is None else dict.fromkeys(TOOLS, category)
        )
        for category in CATEGORIES
    }


def admitted_directions(comparison: Comparison) -> set[str]:
    """The directions that the comparison has found or does not exclude."""
    return {difference.direction for difference in comparison.differences} | set(comparison.maybe)


@settings(max_examples=150, deadline=None, suppress_health_check=_SLOW)
@given(pair=pairs(), tried=st.lists(calls(), min_size=20, max_size=60))
def test_no_call_contradicts_a_verdict(
    pair: tuple[dict[str, Any], dict[str, Any]], tried: list[dict[str, Any]]
) -> None:
    old, new = pair
    comparison = compare(parsed(old, "old"), parsed(new, "new"))
    replay_all(comparison, old, new)
    admitted = admitted_directions(comparison)
    before, after = engines(old), engines(new)
    for one in tried:
        call = {name: value for name, value in one.items() if name != "category"}
        ranks = [rank_of(side[one["category"]].explain(**call).decision) for side in (before, after)]
        note(f"{one} {ranks}")
        if ranks[0] != ranks[1]:
            assert ("wider" if ranks[1] > ranks[0] else "stricter") in admitted, (old, new, one)


@settings(max_examples=100, deadline=None, suppress_health_check=_SLOW)
@given(
    pair=pairs(),
    kinds=st.lists(calls(), min_size=1, max_size=3),
    order=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from((0, 0, 0, 1_000, 59_000, 60_000, 600_000))), max_size=40
    ),
)
def test_no_sequence_contradicts_a_verdict(
    pair: tuple[dict[str, Any], dict[str, Any]], kinds: list[dict[str, Any]], order: list[tuple[int, int]]
) -> None:
    old, new = pair
    comparison = compare(parsed(old, "old"), parsed(new, "new"))
    replay_all(comparison, old, new)
    admitted = admitted_directions(comparison)
    category = kinds[0]["category"]
    before, after = engines(old)[category], engines(new)[category]
    now_ms = kinds[0]["now_ms"]
    for which, later in order:
        now_ms += later
        call = {name: value for name, value in kinds[which % len(kinds)].items() if name != "category"}
        call["now_ms"] = now_ms
        decisions = [engine.check(**call) for engine in (before, after)]
        ranks = [rank_of(decision) for decision in decisions]
        if ranks[0] != ranks[1]:
            assert ("wider" if ranks[1] > ranks[0] else "stricter") in admitted, (old, new, call, decisions)
        if ranks != [Rank.ALLOWED, Rank.ALLOWED]:
            # What follows depends on what was admitted on one side alone.
            return
