"""Differences of the terms under which people approve calls (`docs/policy.md` sections 1 and 6)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from callgate.workbench.diff.findings import Direction
    from callgate.workbench.rules import Entry

_UNITS: Final[dict[str, int | Decimal]] = {
    "ms": Decimal("0.001"),
    "s": 1,
    "m": 60,
    "h": 3_600,
    "d": 86_400,
    "w": 604_800,
}
_WORDS: Final = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_DEFAULT_TIMEOUT: Final = "1h"


def changed_terms(old: Entry, new: Entry) -> Iterator[tuple[Direction, str]]:
    """Each changed term with its direction: wider if an approval is easier to get or admits more."""
    before, after = _terms(old), _terms(new)
    yield from _number("count", before["count"], after["count"], is_wider_if_more=False)
    for name in ("timeout", "valid"):
        yield from _duration(name, before[name], after[name])
    yield from _approvers(before["approvers"], after["approvers"])
    if before["reason"] != after["reason"]:
        word: Direction = "wider" if after["reason"] == "optional" else "stricter"
        yield word, f"`reason` is {after['reason']}, and was {before['reason']}"
    yield from _permit(before["permit"], after["permit"])


def _terms(entry: Entry) -> dict[str, Any]:
    given = entry.approval or {}
    timeout = given.get("timeout", _DEFAULT_TIMEOUT)
    return {
        "count": given.get("count", 1),
        "timeout": timeout,
        "valid": given.get("valid", timeout),
        "approvers": frozenset(given.get("approvers") or ()),
        "reason": given.get("reason", "optional"),
        "permit": given.get("permit"),
    }


def _number(name: str, old: Any, new: Any, *, is_wider_if_more: bool) -> Iterator[tuple[Direction, str]]:  # noqa: ANN401  a number
    if old != new:
        yield "wider" if (new > old) == is_wider_if_more else "stricter", f"`{name}` is {new}, and was {old}"


def _duration(name: str, old: Any, new: Any) -> Iterator[tuple[Direction, str]]:  # noqa: ANN401  a duration
    before, after = _seconds(old), _seconds(new)
    if before != after:
        yield "wider" if after > before else "stricter", f"`{name}` is {_shown(new)}, and was {_shown(old)}"


def _approvers(old: frozenset[str], new: frozenset[str]) -> Iterator[tuple[Direction, str]]:
    """Without groups, every approver may answer."""
    if old == new:
        return
    if old and (not new or new - old):
        added = f"the groups {_names(new - old)}" if new else "every approver"
        yield "wider", f"{added} may approve"
    if new and (not old or old - new):
        lost = f"the groups {_names(old - new)} may not approve any more" if old else f"only {_names(new)} may approve"
        yield "stricter", lost


def _permit(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[tuple[Direction, str]]:
    if old is None or new is None:
        if old is not new:
            word: Direction = "wider" if old is None else "stricter"
            yield word, "approvals may become permits" if old is None else "approvals may not become permits any more"
        return
    yield from _number("permit.max_uses", old["max_uses"], new["max_uses"], is_wider_if_more=True)
    yield from _duration("permit.max_duration", old["max_duration"], new["max_duration"])


def _names(groups: frozenset[str]) -> str:
    return ", ".join(f"`{one}`" for one in sorted(groups))


def _shown(value: Any) -> str:  # noqa: ANN401  a duration
    return value if isinstance(value, str) else f"{value} s"


def _seconds(value: Any) -> Decimal:  # noqa: ANN401  a duration
    if not isinstance(value, str):
        return Decimal(value)
    if value in _WORDS:
        return Decimal(_WORDS[value])
    unit = next(unit for unit in _UNITS if value.endswith(unit))
    return Decimal(value.removesuffix(unit)) * _UNITS[unit]
