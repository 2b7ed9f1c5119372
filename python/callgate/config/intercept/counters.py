"""Intercept's counters as limits of callgate, as far as a limit has the same meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from callgate.config.intercept.conditions import argument
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.config.intercept.rules import Condition, Counter, Rule

EVERY: Final = "_global"
"""The scope of the counters of the rules for every tool."""

_MOST: Final = 9_000_000_000_000
"""Largest `max` of a limit."""


@dataclass(frozen=True)
class Bound:
    """The largest count of a counter, and the rule that says so."""

    most: int
    rule: Rule


class Counters:
    """The counters of a document."""

    def __init__(self, tools: Mapping[str, tuple[Rule, ...]]) -> None:
        """Takes the rules of each tool; reports counters that cannot be kept."""
        self._bounds: dict[str, Bound] = {}
        self._defined: set[str] = set()
        for tool, rules in tools.items():
            for rule in rules:
                if rule.counter is not None:
                    self._define(tool, rule, rule.counter)

    def limit(self, tool: str, rule: Rule) -> dict[str, Any] | None:
        """The limit of a rule; None if it has no counter, or one that nothing bounds."""
        counter = rule.counter
        bound = None if counter is None else self._bounds.get(own_path(tool, counter))
        if counter is None or bound is None or bound.rule is not rule:
            return None
        limit: dict[str, Any] = {"counter": counter.name, "window": counter.window, "max": bound.most}
        limit["scope"] = "server" if scope_of(tool) == EVERY else ["server", "tool"]
        limit["align"] = "calendar"
        if counter.increment_from:
            limit["cost"] = argument(counter.increment_from)
        elif counter.increment != 1:
            limit["cost"] = counter.increment
        if rule.on_deny:
            limit["on_deny"] = rule.on_deny
        return limit

    def check(self, tool: str, rule: Rule, condition: Condition) -> None:
        """Reports a condition about a counter that a limit cannot replace."""
        about, steps = rule.about, ("conditions", condition.index)
        own = None if rule.counter is None else own_path(tool, rule.counter)
        if rule.action == "require_approval":
            message = "an approval cannot depend on a counter; convert the file without this rule and set `at_max`"
            about.fault((*steps, "path"), message)
            return
        if condition.path not in self._defined:
            about.fault((*steps, "path"), f"no rule counts {quoted(condition.path)} in its `state`")
            return
        bound = self._bounds.get(condition.path)
        if condition.path == own:
            if _first_bound(rule, own) is condition:
                return
            about.fault(steps, f"a counter has one bound, `lt` or `lte`; got another condition on {quoted(own)}")
            return
        most = None if condition.op not in {"lt", "lte"} else _most(condition)
        if bound is not None and most is not None and most >= bound.most:
            about.note(steps, f"always holds, because {bound.rule.about.title} keeps the count at most {bound.most}")
            return
        message = f"{quoted(condition.path)} is the counter of another rule, and a limit bounds only what it counts"
        about.fault((*steps, "path"), f"{message}; write the condition in the rule with its `state`")

    def _define(self, tool: str, rule: Rule, counter: Counter) -> None:
        path, about = own_path(tool, counter), rule.about
        first = _first_bound(rule, path)
        if ("." in tool or tool == EVERY) and (counter.bound is not None or first is not None):
            message = f"Intercept cannot count the calls of a tool that is called {quoted(tool)}"
            about.fault((counter.step,), f"{message}; convert the file without this rule and add a limit")
            return
        self._defined.add(path)
        most = counter.bound if first is None else _most(first)
        if most is None:
            if first is None:
                message = "no condition of this rule bounds the counter with `lt` or `lte`, so it limits nothing"
                about.note((counter.step,), f"{message}, and is not kept", of_key=True)
            elif isinstance(first.value, float):
                about.fault(("conditions", first.index, "value"), "expected a whole number as the bound of a counter")
            return
        if not 0 <= most <= _MOST:
            at = (counter.step,) if first is None else ("conditions", first.index, "value")
            about.fault(at, f"expected a bound that allows from 0 to {_MOST} units, got {most}")
            return
        self._bounds[path] = Bound(most, rule)


def scope_of(tool: str) -> str:
    """The scope in the paths of counters."""
    return EVERY if tool == "*" else tool


def own_path(tool: str, counter: Counter) -> str:
    """The path of a rule's own counter."""
    return f"state.{scope_of(tool)}.{counter.name}"


def _first_bound(rule: Rule, path: str) -> Condition | None:
    own = (one for one in rule.conditions if one.path == path and one.op in {"lt", "lte"})
    return next(own, None)


def _most(condition: Condition) -> int | None:
    """The largest count that a bound admits; None if the bound is no whole number."""
    value = condition.value
    is_whole = value.is_integer() if isinstance(value, float) else isinstance(value, int)
    if isinstance(value, bool) or not is_whole:
        return None
    return int(value) - (condition.op == "lt")
