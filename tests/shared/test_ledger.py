"""The checker of the fault tests: it finds every excess that is sure, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from support.fleet.ledger import SLEW, Admission, Ledger, Limit, surely

MICRO = 1_000_000
TICKS = st.integers(0, 30)
CALLS = st.lists(st.tuples(TICKS, TICKS, st.integers(1, 4)), max_size=12)


def admission(begin: float, end: float, units: float = 1) -> Admission:
    return Admission(begin, end, round(units * MICRO), 0)


def plainly(admitted: list[Admission], window_s: float) -> int:
    """The same, by a look at every call for every window."""
    begins = [one.before for one in admitted]
    return max(
        (
            sum(one.micros for one in admitted if begin <= one.before and one.after < begin + window_s)
            for begin in begins
        ),
        default=0,
    )


@given(CALLS, st.integers(1, 20))
def test_it_finds_what_a_plain_search_finds(calls: list[tuple[int, int, int]], window: int) -> None:
    admitted = [admission(begin, begin + length, units) for begin, length, units in calls]
    assert surely(admitted, window) == plainly(admitted, window)


def test_a_call_that_may_lie_outside_is_not_counted() -> None:
    assert surely([admission(0, 0.1), admission(0.9, 0.95)], 1) == 2 * MICRO
    assert surely([admission(0, 0.1), admission(0.9, 1.0)], 1) == MICRO
    assert surely([admission(0, 5)], 1) == 0


def ledger(*, is_strict: bool) -> Ledger:
    made = Ledger([Limit("l", 2, 10, is_strict=is_strict)])
    for second in (1, 2, 3):
        made.record("l", second, second, 0)
    return made


def test_an_excess_is_told() -> None:
    made = ledger(is_strict=True)
    assert made.excesses() == ["l: 3 of 2"]
    assert (made.last("l", 0), made.last("l", 1)) == (3, float("-inf"))
    assert next(line.split() for line in made.lines())[:2] == ["l", "3"]


def test_steps_of_the_clock_divide_strict_limits_alone() -> None:
    for is_strict, excesses in ((True, []), (False, ["l: 3 of 2"])):
        made = ledger(is_strict=is_strict)
        made.steps.append(2.5)
        assert made.excesses() == excesses
    made = ledger(is_strict=True)
    made.steps.append(0.5)
    assert made.excesses() == ["l: 3 of 2"]


def test_the_end_of_a_window_is_outside() -> None:
    made = Ledger([Limit("l", 1, 10)])
    made.record("l", 0, 0, 0)
    made.record("l", 10 * (1 - SLEW), 10 * (1 - SLEW), 0)
    assert made.excesses() == []
    made.record("l", 5, 5, 0, units=0.5)
    assert made.excesses() == ["l: 1.5 of 1"]
