"""Rules that ask for an approval, as one `approval` of callgate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callgate.config.intercept.conditions import all_met

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.config.document import KeyPath
    from callgate.config.intercept.rules import Rule


def approval(rules: Sequence[Rule], default_timeout: str) -> tuple[dict[str, Any], list[tuple[Rule, list[KeyPath]]]]:
    """The `approval` for rules that ask for one; for each of its checks the rule, and the source of each condition."""
    terms: dict[str, Any] = {}
    checked: list[tuple[Rule, list[KeyPath]]] = []
    if all(rule.conditions for rule in rules):
        terms["when"] = []
        for rule in rules:
            conditions, origins = all_met(rule, rule.conditions, asks=True)
            terms["when"].append({"name": rule.name, "conditions": conditions})
            checked.append((rule, origins))
    for rule in rules:
        if rule.on_deny:
            message = "the message of an approval is callgate's own, so `on_deny` is not kept"
            rule.about.note(("on_deny",), message, of_key=True)
    timeouts = [rule.approval_timeout or default_timeout for rule in rules]
    for rule, timeout in zip(rules, timeouts, strict=True):
        if timeout != timeouts[0]:
            message = f"rules of one tool share one `approval_timeout`, and that of {rules[0].about.title} is another"
            rule.about.fault(("approval_timeout",), message)
    if timeouts[0]:
        terms["timeout"] = timeouts[0]
    return terms, checked
