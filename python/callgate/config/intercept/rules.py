"""Rules of Intercept's documents, with the faults for which Intercept refuses them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from callgate.config.intercept.fields import Fields
from callgate.config.intercept.report import RuleReport
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.config.document import KeyPath
    from callgate.config.intercept.report import Report

WINDOWS: Final = ("minute", "hour", "day")

RULE_FIELDS: Final = ("name", "action", "rate_limit", "conditions", "on_deny", "state", "approval_timeout", "spend")
_ACTIONS: Final = ("evaluate", "deny", "require_approval")
_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True)
class Condition:
    """A condition and its number in the rule."""

    index: int
    path: str
    op: str
    value: Any


@dataclass(frozen=True)
class Counter:
    """A counter that a rule counts in: of its `state`, or of its `rate_limit`."""

    name: str
    window: str
    step: str
    """The field of the rule: ``state`` or ``rate_limit``."""
    increment: int = 1
    increment_from: str = ""
    bound: int | None = None
    """The largest count, if the rule is a `rate_limit`."""


@dataclass(frozen=True)
class Rule:
    """A rule."""

    about: RuleReport = field(repr=False)
    action: str
    conditions: tuple[Condition, ...]
    on_deny: str
    counter: Counter | None
    approval_timeout: str

    @property
    def name(self) -> str:
        """Its name."""
        return self.about.name


def read_rules(report: Report, tool: str, fields: Fields) -> tuple[Rule, ...]:
    """Reads the rules of a tool; their faults are in the report."""
    rules = []
    counters: dict[str, Rule] = {}
    for index, values in fields.sections("rules"):
        rule = _rule(report, (*fields.steps, "rules", index), tool, values)
        if rule.counter is not None:
            first = counters.setdefault(rule.counter.name, rule)
            if first is not rule:
                message = f"the counter {quoted(rule.counter.name)} is that of rule {quoted(first.name)} already"
                rule.about.fault((rule.counter.step,), f"{message}; give each rule its own")
        rules.append(rule)
    return tuple(rules)


def _rule(report: Report, path: KeyPath, tool: str, values: Mapping[str, Any]) -> Rule:
    # The name is read first, because every other finding mentions it.
    about = RuleReport(report, path, tool, Fields(RuleReport(report, path, tool, ""), (), values).text("name"))
    fields = Fields(about, (), values)
    fields.check_names(RULE_FIELDS, "a rule")
    if not about.name:
        about.fault((), "expected a `name`")
    if "spend" in values:
        about.fault(
            ("spend",), "`spend` has no meaning in callgate; count with `state` and `increment_from`", of_key=True
        )
    action = fields.text("action") or "evaluate"
    if action not in _ACTIONS:
        about.fault(("action",), f"expected `evaluate`, `deny` or `require_approval`, got {quoted(action)}")
    conditions = tuple(_condition(about, index, one) for index, one in fields.sections("conditions"))
    state, rate = fields.section("state"), fields.text("rate_limit")
    timeout = fields.duration("approval_timeout")
    if fields.values.get("approval_timeout") is not None and action != "require_approval":
        about.fault(("approval_timeout",), "expected it beside `action: require_approval` alone", of_key=True)
    counter = None
    if rate:
        counter = _rate(about, rate)
        if conditions or state is not None:
            about.fault(("rate_limit",), "`rate_limit` cannot stand beside `conditions` or `state`; write two rules")
        if action != "evaluate":
            about.fault(("rate_limit",), f"`rate_limit` cannot stand beside `action: {action}`; write two rules")
    else:
        _check_action(about, action, conditions, has_state=state is not None)
        if state is not None:
            counter = _state(about, Fields(about, ("state",), state))
    return Rule(about, action, conditions, fields.text("on_deny"), counter, timeout)


def _check_action(about: RuleReport, action: str, conditions: tuple[Condition, ...], *, has_state: bool) -> None:
    if action == "deny" and conditions:
        message = "a rule with `action: deny` takes no conditions; without the action, it denies where they do not hold"
        about.fault(("conditions",), message, of_key=True)
    if action == "evaluate" and not conditions:
        about.fault((), "expected `conditions`, `rate_limit`, or `action: deny`")
    if action == "require_approval" and has_state:
        about.fault(("state",), "`state` cannot stand beside `action: require_approval`; write two rules", of_key=True)


def _condition(about: RuleReport, index: int, values: Mapping[str, Any]) -> Condition:
    fields = Fields(about, ("conditions", index), values)
    fields.check_names(("path", "op", "value"), "a condition")
    path = fields.text("path")
    if not path.startswith(("args.", "state.")):
        about.fault(
            (*fields.steps, "path"), f"expected a path that begins with `args.` or `state.`, got {quoted(path)}"
        )
    _check_numbers(about, (*fields.steps, "value"), values.get("value"))
    return Condition(index, path, fields.text("op"), values.get("value"))


def _check_numbers(about: RuleReport, steps: KeyPath, value: Any) -> None:  # noqa: ANN401  of a document
    for path, message in about.report.written.ambiguous((*about.path, *steps), value):
        about.fault(path[len(about.path) :], message)


def _rate(about: RuleReport, text: str) -> Counter | None:
    count, slash, window = text.partition("/")
    if not slash:
        about.fault(("rate_limit",), f"expected a number and a window, such as `5/hour`, got {quoted(text)}")
        return None
    is_number = re.fullmatch(r"[+-]?[0-9]{1,30}", count) is not None
    if not is_number or not 0 < int(count) <= _LARGEST:
        about.fault(("rate_limit",), f"expected a whole number above 0 before the `/`, got {quoted(count)}")
        return None
    if window not in WINDOWS:
        about.fault(("rate_limit",), f"expected `minute`, `hour` or `day` after the `/`, got {quoted(window)}")
        return None
    return Counter(f"_rate_{window}", window, "rate_limit", bound=int(count))


def _state(about: RuleReport, fields: Fields) -> Counter:
    fields.check_names(("counter", "window", "increment", "increment_from"), "`state`")
    counter, window, source = fields.text("counter"), fields.text("window"), fields.text("increment_from")
    if not counter:
        about.fault(("state", "counter"), "expected the name of the `counter`")
    if window not in WINDOWS:
        about.fault(("state", "window"), f"expected the `window` `minute`, `hour` or `day`, got {quoted(window)}")
    if source and not source.startswith("args."):
        about.fault(("state", "increment_from"), f"expected a path that begins with `args.`, got {quoted(source)}")
    increment = fields.values.get("increment")
    _check_numbers(about, ("state", "increment"), increment)
    if increment is None or (increment == 0 and increment is not False):
        increment = 1
    elif isinstance(increment, bool) or not isinstance(increment, int) or increment < 1:
        message = "expected a whole number above 0; a negative `increment` would give quota back"
        about.fault(("state", "increment"), message)
        increment = 1
    return Counter(counter, window, "state", increment, source)
