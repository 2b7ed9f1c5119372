"""The conversion of a whole document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callgate.config.faults import InvalidConfigError
from callgate.config.intercept.conditions import check
from callgate.config.intercept.counters import Counters
from callgate.config.intercept.entries import Entry, entry_of
from callgate.config.intercept.patterns import pattern
from callgate.config.intercept.report import Report
from callgate.config.intercept.source import EVERY_TOOL, Policy, read_policy
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.config.document import Document, KeyPath
    from callgate.config.faults import Fault


@dataclass(frozen=True)
class Converted:
    """The result of a conversion."""

    data: dict[str, Any]
    """The policy as callgate's own."""
    origins: Mapping[KeyPath, KeyPath]
    """By path in the result: the path in the source."""
    notes: tuple[Fault, ...]
    """Findings about parts of the source that are not in the result, without an effect on decisions."""

    def origin(self, path: KeyPath) -> KeyPath:
        """The path in the source from which a value of the result comes."""
        while path not in self.origins and path:
            path = path[:-1]
        return self.origins.get(path, ())


def convert(source: Document) -> Converted:
    """Converts a document of Intercept's.

    Raises:
        InvalidConfigError: Intercept would refuse it, or its meaning cannot be kept; all that was found.
    """
    report = Report(source)
    policy = read_policy(report)
    counters = _check(policy)
    if report.faults:
        raise InvalidConfigError(_in_order(report.faults))
    converted = _Conversion(report, policy, counters).run()
    if report.faults:
        raise InvalidConfigError(_in_order(report.faults))
    return converted


def _check(policy: Policy) -> Counters:
    """Reports the faults of conditions and counters."""
    counters = Counters(policy.tools)
    for tool, rules in policy.tools.items():
        for rule in rules:
            for condition in rule.conditions:
                if check(rule.about, condition) and condition.path.startswith("state."):
                    counters.check(tool, rule, condition)
    return counters


@dataclass
class _Conversion:
    report: Report
    policy: Policy
    counters: Counters

    def run(self) -> Converted:
        policy = self.policy
        origins: dict[KeyPath, KeyPath] = {}
        data: dict[str, Any] = {"version": "1", "default": policy.default}
        if policy.description:
            data["description"] = policy.description
        if policy.hide:
            data["hide"] = [self._pattern(name, ("hide", index)) for index, name in enumerate(policy.hide)]
        for key in ("version", "default", "description", "hide"):
            origins[key,] = (key,)
        origins |= {("hide", index): ("hide", index) for index in range(len(policy.hide))}
        every = self._entry(EVERY_TOOL, checks_follow=False)
        if every.data:
            data["all_tools"] = every.data
        origins |= every.origins(("all_tools",), ("tools", EVERY_TOOL))
        origins["tools",] = ("tools",)
        data["tools"] = {}
        for tool in policy.tools:
            if tool == EVERY_TOOL:
                continue
            key = self._pattern(tool, ("tools", tool), of_key=True)
            entry = self._entry(tool, checks_follow="require" in every.data)
            data["tools"][key] = entry.data
            origins |= entry.origins(("tools", key), ("tools", tool))
        return Converted(data, origins, tuple(_in_order(self.report.notes)))

    def _entry(self, tool: str, *, checks_follow: bool) -> Entry:
        return entry_of(self.policy, self.counters, tool, checks_follow=checks_follow)

    def _pattern(self, name: str, at: KeyPath, *, of_key: bool = False) -> str:
        if "*" in name and name != EVERY_TOOL:
            if of_key and self.policy.default == "deny":
                message = (
                    f"{quoted(name)} names one tool in Intercept; here it is a pattern, which would allow more "
                    "tools; write their names"
                )
                self.report.fault(at, message, of_key=of_key)
            else:
                message = f"{quoted(name)} names one tool in Intercept; here it stands for every tool that it matches"
                self.report.note(at, message, of_key=of_key)
        return pattern(name)


def _in_order(faults: list[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda one: (one.line, one.column))
