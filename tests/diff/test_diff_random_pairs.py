"""A bounded run of the random pairs; `make fuzz-diff` goes on for as long as it is told."""

from __future__ import annotations

import pytest

from support.diff_fuzz import Tried, try_pair

_SEEDS_OF_EACH = 15


@pytest.mark.parametrize("first", range(0, 6 * _SEEDS_OF_EACH, _SEEDS_OF_EACH))
def test_no_call_refutes_a_verdict_or_a_finding(first: int) -> None:
    tried = Tried()
    for seed in range(first, first + _SEEDS_OF_EACH):
        try_pair(seed, tried)
    # Most pairs are valid, and not all are called different.
    assert tried.invalid < _SEEDS_OF_EACH // 2
    assert tried.same


# Pairs about which a comparison or an analysis was wrong once.
@pytest.mark.parametrize("seed", [648, 2067, 2157, 2287, 2431, 2526, 2611, 2693, 300833, 301330])
def test_what_was_wrong_once(seed: int) -> None:
    try_pair(seed, Tried())
