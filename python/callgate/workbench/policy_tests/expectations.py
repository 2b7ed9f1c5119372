"""Comparison of decisions with what a test expects of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from callgate.config.units import format_duration
from callgate.workbench.policy_tests.parts import NO_SHADOW, ShadowExpectation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from callgate._callgate import Decision, LimitState
    from callgate.workbench.policy_tests.parts import Expectation

_NOTHING = "nothing"


@dataclass(frozen=True)
class Difference:
    """A field that is not as expected."""

    field: str
    """The key of the expectation, such as `rule` or `remaining.calls`."""
    expected: str
    got: str


def differences(expect: Expectation, decision: Decision, *, is_last: bool) -> list[Difference]:
    """The fields of a decision that differ; numbers of limits are compared after the last of several calls alone."""
    found = list(_of_texts(expect, decision))
    return [*found, *_of_numbers(expect, decision)] if is_last else found


def _of_texts(expect: Expectation, decision: Decision) -> Iterator[Difference]:
    if expect.outcome is not None and expect.outcome != decision.outcome:
        yield Difference("outcome", expect.outcome.value, decision.outcome.value)
    for name, wanted, got in (
        ("rule", expect.rule, decision.rule),
        ("message", expect.message, decision.message),
        ("policy", expect.policy, decision.policy),
    ):
        if wanted is not None and wanted != got:
            yield Difference(name, wanted or _NOTHING, got or _NOTHING)
    part = expect.message_contains
    if part is not None and part not in decision.message:
        yield Difference("message_contains", part, decision.message or _NOTHING)
    yield from _of_shadow(expect, decision)


def _of_shadow(expect: Expectation, decision: Decision) -> Iterator[Difference]:
    wanted, shadow = expect.shadow, decision.shadow
    if wanted is None:
        return
    if isinstance(wanted, ShadowExpectation):
        if shadow is None or shadow.outcome != wanted.outcome:
            yield Difference("shadow.outcome", wanted.outcome.value, NO_SHADOW if shadow is None else shadow.outcome)
        if wanted.rule is not None and (shadow is None or shadow.rule != wanted.rule):
            yield Difference("shadow.rule", wanted.rule, _NOTHING if shadow is None else shadow.rule)
        return
    got = NO_SHADOW if shadow is None else shadow.outcome.value
    if wanted != got:
        yield Difference("shadow", wanted, got)


def _of_numbers(expect: Expectation, decision: Decision) -> Iterator[Difference]:
    limits = decision.limits
    # Of several limits with one counter, such as those of a minute and of an hour, the one that is nearest to its end.
    remaining = _by_counter(limits, {limit: limit.remaining for limit in limits}, least=True)
    over = _by_counter(limits, {limit: limit.over for limit in limits}, least=False)
    for name, wanted, found in (("remaining", expect.remaining, remaining), ("over", expect.over, over)):
        for counter, number in wanted.items():
            if counter not in found:
                others = f"no such limit, only {', '.join(found)}" if found else "no limit"
                yield Difference(f"{name}.{counter}", str(number), others)
            elif found[counter] != number:
                yield Difference(f"{name}.{counter}", str(number), str(found[counter]))
    if expect.retry_after is not None:
        got_ms = decision.retry_after_ms
        if got_ms is None or timedelta(milliseconds=got_ms) != expect.retry_after:
            got = _NOTHING if got_ms is None else format_duration(timedelta(milliseconds=got_ms))
            yield Difference("retry_after", format_duration(expect.retry_after), got)


def _by_counter(
    limits: tuple[LimitState, ...], numbers: Mapping[LimitState, float], *, least: bool
) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for limit in limits:
        number = Decimal(repr(numbers[limit]))
        known = found.get(limit.counter, number)
        found[limit.counter] = min(known, number) if least else max(known, number)
    return found
