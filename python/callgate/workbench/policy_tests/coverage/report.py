"""Coverage for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callgate.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.policy_tests.coverage.record import Coverage, CoveredItem, CoveredPolicy


def coverage_lines(coverage: Coverage, *, all_items: bool = False) -> Iterator[str]:
    """A table of the rules with a side that no test reached; with `all_items` of all rules."""
    policies = coverage.policies()
    for policy in policies:
        rows = [_row(one) for one in policy.items if all_items or one.missed]
        yield visible(f"{policy.known.positions.file}: {_share(policy.reached, policy.total)}")
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
        for *cells, said in rows:
            columns = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
            yield f"  {'  '.join(columns)}  {said}"
    reached, total = sum(one.reached for one in policies), sum(one.total for one in policies)
    yield f"coverage: {_share(reached, total)}"


def coverage_document(coverage: Coverage) -> dict[str, Any]:
    """The coverage as JSON."""
    policies = coverage.policies()
    reached, total = sum(one.reached for one in policies), sum(one.total for one in policies)
    return {
        "reached": reached,
        "total": total,
        "percent": percent(reached, total),
        "policies": [_policy(policy) for policy in policies],
    }


def percent(reached: int, total: int) -> float:
    """A hundred only if everything was reached: to one decimal, rounded down."""
    return 100.0 if not total else reached * 1_000 // total / 10


def _policy(policy: CoveredPolicy) -> dict[str, Any]:
    return {
        "file": policy.known.positions.file,
        "name": policy.known.policy.name,
        "version": policy.known.version,
        "reached": policy.reached,
        "total": policy.total,
        "percent": percent(policy.reached, policy.total),
        "rules": [_item(one) for one in policy.items],
    }


def _item(covered: CoveredItem) -> dict[str, Any]:
    item, place = covered.item, covered.place
    return {
        "rule": item.rule,
        "kind": item.kind,
        "text": item.text,
        "line": place.line,
        "column": place.column,
        "sides": {side: side in covered.reached for side in item.sides},
        "uncounted": {side: side in covered.reached for side in item.others},
    }


def _row(covered: CoveredItem) -> tuple[str, str, str, str]:
    place, item, missed = covered.place, covered.item, covered.missed
    if not missed:
        said = "reached"
    elif len(missed) == len(item.sides):
        said = "never reached"
    else:
        said = f"never: {', '.join(missed)}"
    if covered.untried and len(missed) < len(item.sides):
        said += f" (not tried: {', '.join(covered.untried)})"
    return f"{place.line}:{place.column}", visible(item.rule), visible(item.text), said


def _share(reached: int, total: int) -> str:
    return f"{reached} of {total} sides reached, {percent(reached, total):g} %"
