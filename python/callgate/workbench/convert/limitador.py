"""Conversion of limitador's limits.

In limitador, a limit counts every request that has at least the entries that its conditions and variables name, and
several limits may count one request. In callgate, a descriptor finds a single limit, which must be for exactly its
entries. So Envoy has to send a separate descriptor for each list of entries that limits name, and two limits that would
count the same descriptor cannot both be kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from callgate.text import quoted
from callgate.workbench.convert.align import UNIT_SECONDS, Align
from callgate.workbench.convert.cel import NotKeptError, parse_condition, parse_variable
from callgate.workbench.convert.conversion import Conversion, finish
from callgate.workbench.convert.limitador_source import Limit, read_limits
from callgate.workbench.convert.rules import LARGEST_LIMIT, WILDCARD, RateLimit, RateLimits
from callgate.workbench.convert.tree import Overlaps, Rule, build

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from callgate.workbench.convert.tree import Entries

_UNIT_OF: Final = {seconds: unit for unit, seconds in UNIT_SECONDS.items()}


def convert_limitador(paths: Sequence[Path], align: Align | None = None) -> Conversion:
    """Reads limits files of limitador; each namespace becomes a domain.

    Args:
        paths: The files.
        align: The kind of windows in the result. In limitador they begin with the first hit, which callgate does not
            have; without `align`, only limits of 0 and 1 are kept, for which sliding windows are equal.

    Raises:
        ConfigError: A file cannot be read.
        InvalidConfigError: limitador would refuse a file too.
    """
    reports, domains = [], dict[str, _Domain]()
    for path in paths:
        report, limits = read_limits(path)
        reports.append(report)
        if not report.faults:
            for limit in limits:
                domains.setdefault(limit.namespace, _Domain(limit.namespace, align)).add(limit)
    return finish(reports, [domain.finish() for domain in domains.values() if domain.name])


@dataclass
class _Domain:
    """The limits of a namespace so far."""

    name: str
    align: Align | None
    kept: list[tuple[Limit, dict[str, str], RateLimit]] = field(default_factory=list)
    order: dict[str, None] = field(default_factory=dict)
    """Keys in order of appearance; entries have this order everywhere, so that equal keys give equal lists."""
    seen: dict[tuple[int, frozenset[str], frozenset[str]], Limit] = field(default_factory=dict)
    overlaps: dict[frozenset[str], Overlaps] = field(default_factory=dict)

    def add(self, limit: Limit) -> None:
        """Keeps a limit, or reports the reason for leaving it out."""
        if not self.name:
            message = f"{limit.title}: no request of Envoy's has an empty `namespace`; it is not kept"
            limit.report.note((*limit.path, "namespace"), message)
            return
        first = self.seen.setdefault((limit.seconds, frozenset(limit.conditions), frozenset(limit.variables)), limit)
        if first is not limit:
            message = f"{limit.title}: limitador takes it for the limit at {first.line} again; it is not kept"
            limit.report.note(limit.path, message)
            return
        values = _values(limit)
        if values is None:
            return
        rate_limit = _rate_limit(limit, self.align)
        if rate_limit is None:
            return
        self.order.update(dict.fromkeys(values))
        overlaps = self.overlaps.setdefault(frozenset(values), Overlaps())
        entries = tuple(sorted(values.items()))
        other = overlaps.find(entries)
        if other is not None:
            message = (
                f"{limit.title}: requests that it counts are counted by the limit at {self.kept[other][0].line} too; "
                "here a descriptor has one limit; give one of them an entry that the other has not"
            )
            limit.report.left_out(limit.path, message)
            return
        overlaps.add(entries, len(self.kept))
        self.kept.append((limit, values, rate_limit))

    def finish(self) -> RateLimits:
        """The limits that were kept."""
        place = {key: index for index, key in enumerate(self.order)}
        rules = []
        for _, values, rate_limit in self.kept:
            entries: Entries = tuple(sorted(values.items(), key=lambda entry: place[entry[0]]))
            rules.append(Rule(entries, rate_limit))
        remarks = []
        if rules:
            lists = dict.fromkeys(tuple(key for key, _ in rule.entries) for rule in rules)
            # In full, because the user has to write them elsewhere.
            shown = "; ".join(", ".join(f"`{key}`" for key in keys) for keys in lists)
            remarks.append(f"Envoy must send a descriptor with exactly these entries, in this order: {shown}")
            first = self.kept[0][0]
            first.report.note(first.path, f"namespace {quoted(self.name)}: {remarks[0]}")
        return RateLimits(self.name, self.align or Align.SLIDING, list(build(rules)), remarks)


def _values(limit: Limit) -> dict[str, str] | None:
    """The keys that the limit names, each with the value that a condition requires, if any."""
    values: dict[str, str] = {}
    path: tuple[str | int, ...] = limit.path
    try:
        for index, condition in enumerate(limit.conditions):
            path = (*limit.path, "conditions", index)
            for key, value in parse_condition(condition):
                if values.setdefault(key, _nameable(value)) != value:
                    limit.report.note(path, f"{limit.title}: its conditions are never true together; it is not kept")
                    return None
        for index, variable in enumerate(limit.variables):
            path = (*limit.path, "variables", index)
            values.setdefault(parse_variable(variable), "")
    except NotKeptError as reason:
        limit.report.left_out(path, f"{limit.title}: {reason}")
        return None
    if not values:
        message = f"{limit.title}: it counts every request; let Envoy send a `generic_key`, and limit that"
        limit.report.left_out(limit.path, message)
        return None
    return values


def _nameable(value: str) -> str:
    if not value:
        raise NotKeptError("an empty value; here a descriptor names one of at least one character")
    if WILDCARD in value:
        raise NotKeptError("a `*` in a value; here it stands for any characters")
    return value


def _rate_limit(limit: Limit, align: Align | None) -> RateLimit | None:
    unit = _UNIT_OF.get(limit.seconds)
    path = (*limit.path, "seconds")
    reason = ""
    if unit is None:
        lengths = ", ".join(str(seconds) for seconds in _UNIT_OF)
        reason = f"a window of {limit.seconds} seconds; here windows have {lengths}"
    elif limit.max_value > LARGEST_LIMIT:
        reason, path = f"`max_value` above {LARGEST_LIMIT}", (*limit.path, "max_value")
    elif align is None and limit.max_value > 1:
        # With at most one unit both are equal: the next one is free when the window of the last is over.
        reason = (
            "its windows begin with the first hit; choose `--align sliding`, where no interval of that length admits "
            "more, or `--align calendar`"
        )
    if reason:
        limit.report.left_out(path, f"{limit.title}: {reason}")
        return None
    return RateLimit(unit, limit.max_value, name=limit.name)
