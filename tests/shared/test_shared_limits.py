"""Limits over several sidecars that share a Redis: never more than `max` in a window, by any way of sharing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from support.planes import wait_until
from support.shared import Fleet, fleet, hammer, limit, policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate import Decision

HOUR_MS = 3_600_000
MANY = 30
"""`max` of limits that are hammered for a few windows of a second."""
SHARINGS = ("leased", "strict")

POLICIES = {
    "s": policy(
        "limits",
        leased=[limit("leased", MANY, "1s", shared="leased")],
        strict=[limit("strict", MANY, "1s", shared="strict")],
        edge=[limit("edge", 5, shared="strict")],
        busy=[limit("busy", 50, shared="leased")],
        mixed=[
            limit("mixed-strict", 10, shared="strict"),
            limit("mixed-leased", 10, shared="leased"),
            limit("mixed-local", 3, shared="local"),
        ],
        of_strict=[limit("mixed-strict", 10, shared="strict")],
        of_leased=[limit("mixed-leased", 10, shared="leased")],
        spend_leased=[limit("spend-leased", 10.5, shared="leased", cost="args.price")],
        spend_strict=[limit("spend-strict", 10.5, shared="strict", cost="args.price")],
        daily=[limit("daily", 6, "day", align="calendar")],
    ),
}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("limits"), POLICIES, nodes=3) as made:
        yield made


def remaining(decision: Decision) -> float:
    [state] = decision.limits
    return state.remaining


@pytest.mark.parametrize("sharing", SHARINGS)
def test_no_window_has_more_than_max(three: Fleet, sharing: str) -> None:
    found = hammer(three.nodes, sharing, window_s=1.0, seconds=3.0)
    assert found.most() <= MANY
    assert len(found.units) >= MANY * 3 / 2
    assert {decision.rule for decision in found.refused} == {f"/tools/{sharing}/limits/{sharing}"}
    assert {decision.outcome for decision in found.refused} == {"rate_limited"}


def test_a_strict_limit_is_exact_at_its_edge(three: Fleet) -> None:
    left, refused = [], []
    for number in range(20):
        decision = three.nodes[number % 2].check("edge")
        if decision.outcome == "allow":
            left.append(remaining(decision))
        else:
            refused.append(decision)
    assert left == [4, 3, 2, 1, 0]
    assert {(decision.outcome, decision.rule) for decision in refused} == {("rate_limited", "/tools/edge/limits/edge")}
    assert all(remaining(decision) == 0 for decision in refused)
    waits = [decision.retry_after_ms or 0 for decision in refused]
    assert all(HOUR_MS * 0.95 < wait <= HOUR_MS for wait in waits), waits


def test_a_busy_node_gets_nearly_all_of_a_leased_limit(three: Fleet) -> None:
    busy, *others = three.nodes
    assert [other.admits("busy") for other in others] == [True, True]
    admitted = 0

    def has_enough() -> bool:
        nonlocal admitted
        admitted += busy.admitted(60, "busy")
        return admitted >= 45

    wait_until(has_enough, lambda: admitted)
    admitted += busy.admitted(60, "busy")
    assert admitted <= 48


def test_calls_that_a_local_limit_refuses_take_nothing(three: Fleet) -> None:
    first, second, _ = three.nodes
    decisions = [first.check("mixed") for _ in range(13)]
    assert [decision.outcome for decision in decisions] == ["allow"] * 3 + ["rate_limited"] * 10
    assert {decision.rule for decision in decisions[3:]} == {"/tools/mixed/limits/mixed-local"}
    # 3 of 10 are taken from the shared ones, and the local one of another node is its own.
    assert second.admitted(5, "mixed") == 3
    assert sum(each.admitted(10, "of_strict") for each in three.nodes) == 4
    admitted = 0

    def has_all() -> bool:
        nonlocal admitted
        admitted += sum(each.admitted(5, "of_leased") for each in three.nodes)
        return admitted >= 4

    wait_until(has_all, lambda: admitted)
    assert admitted == 4


@pytest.mark.parametrize("sharing", SHARINGS)
def test_spend_never_exceeds_max(three: Fleet, sharing: str) -> None:
    prices = [0.7, 1.25, 0.000001, 2.5, 0.1, 3.3]
    first, second, _ = three.nodes
    micros = []

    def spend(number: int) -> None:
        price = prices[number % len(prices)]
        if (first, second)[number % 2].admits(f"spend_{sharing}", args={"price": price}):
            micros.append(round(price * 1_000_000))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(spend, range(60)))
    assert sum(micros) <= 10_500_000
    # What is left is not for a call of this price, until nodes have given back what they do not use.
    assert sum(micros) >= 10_500_000 / 2
    assert not first.admits(f"spend_{sharing}", args={"price": 10.6})
    if sharing == "strict":
        left = (10_500_000 - sum(micros)) / 1_000_000
        assert not second.admits("spend_strict", args={"price": left + 0.000001})
        assert second.admits("spend_strict", args={"price": left})


def test_a_calendar_day_counts_over_all_nodes(three: Fleet) -> None:
    # At midnight a new day begins: that is tried again with the next one.
    days = [[str(each.check("daily").outcome) for each in three.nodes for _ in range(4)] for _ in range(2)]
    assert [day.count("allow") for day in days] in ([6, 0], [6, 6], [6, 1])
    assert set(days[0] + days[1]) == {"allow", "rate_limited"}


def test_a_calendar_day_is_strict(three: Fleet) -> None:
    assert remaining(three.nodes[0].check("daily")) == remaining(three.nodes[1].check("daily"))
