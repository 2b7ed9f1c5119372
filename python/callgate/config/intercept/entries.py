"""The rules of one tool, or of every tool, as one entry of a policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from callgate.config.intercept.approvals import approval
from callgate.config.intercept.conditions import NEVER, all_met

if TYPE_CHECKING:
    from callgate.config.document import KeyPath
    from callgate.config.intercept.counters import Counters
    from callgate.config.intercept.rules import Rule
    from callgate.config.intercept.source import Policy


@dataclass
class Entry:
    """An entry and the source of each of its parts."""

    data: dict[str, Any] = field(default_factory=dict)
    parts: dict[KeyPath, KeyPath] = field(default_factory=dict)
    """By path in the entry: the path in the source."""

    def add(self, part: str, item: dict[str, Any], rule: Rule) -> KeyPath:
        """Adds a check or a limit, which comes from a rule; gives its path in the entry."""
        items = self.data.setdefault(part, [])
        path = (part, len(items))
        self.parts[path] = rule.about.path
        items.append(item)
        return path

    def origins(self, path: KeyPath, source: KeyPath) -> dict[KeyPath, KeyPath]:
        """The sources by path in the document, for the entry at a path, which comes from a part of the source."""
        return {path: source} | {(*path, *inner): of for inner, of in self.parts.items()}


def entry_of(policy: Policy, counters: Counters, tool: str, *, checks_follow: bool) -> Entry:
    """The entry for the rules of a tool.

    Args:
        policy: The document.
        counters: Its counters.
        tool: The tool, or ``*``.
        checks_follow: The rules for every tool have checks. callgate looks at `require` of all entries before
            `deny_if`, and Intercept at the rules of a tool before those of every tool.
    """
    entry = Entry()
    asking: list[Rule] = []
    rules = policy.tools.get(tool, ())
    for index, rule in enumerate(rules):
        if rule.action == "require_approval":
            asking.append(rule)
            continue
        conditions = [one for one in rule.conditions if one.path.startswith("args.")]
        denies = rule.action == "deny" or any(one.op == "in" and not one.value for one in conditions)
        if denies:
            _add_denial(entry, rule, checks_follow=checks_follow)
            _note_unreached(rules[index + 1 :], rule)
            break
        if conditions:
            wanted, origins = all_met(rule, conditions)
            path = entry.add("require", _named(rule, wanted), rule)
            entry.parts |= {(*path, "conditions", index): of for index, of in enumerate(origins)}
        limit = counters.limit(tool, rule)
        if limit is not None:
            entry.add("limits", limit, rule)
    if asking:
        _add_approval(entry, asking, policy.default_timeout)
    return entry


def _add_denial(entry: Entry, rule: Rule, *, checks_follow: bool) -> None:
    if checks_follow:
        entry.add("require", _named(rule, list(NEVER)), rule)
    else:
        entry.add("deny_if", _named(rule, []), rule)


def _note_unreached(rules: tuple[Rule, ...], after: Rule) -> None:
    for rule in rules:
        # An approval that is asked for anywhere comes after all denials, so it is never reached either.
        rule.about.note((), f"is never reached, because {after.about.title} denies every call, and is not kept")


def _add_approval(entry: Entry, asking: list[Rule], default_timeout: str) -> None:
    terms, checked = approval(asking, default_timeout)
    entry.data["action"] = "require_approval"
    entry.parts["action",] = asking[0].about.path
    if terms:
        entry.data["approval"] = terms
        entry.parts["approval",] = asking[0].about.path
    for index, (rule, origins) in enumerate(checked):
        path = ("approval", "when", index)
        entry.parts[path] = rule.about.path
        entry.parts |= {(*path, "conditions", number): of for number, of in enumerate(origins)}


def _named(rule: Rule, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    check: dict[str, Any] = {"name": rule.name, "conditions": conditions}
    if rule.on_deny:
        check["on_deny"] = rule.on_deny
    return check
