"""The contents of Intercept's documents, with the faults for which Intercept refuses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from callgate.config.intercept.detect import MARK, OWN_RULES, OWN_TOP
from callgate.config.intercept.fields import MERGE, NO_MERGE, Fields
from callgate.config.intercept.rules import RULE_FIELDS, Rule, read_rules
from callgate.text import quoted

if TYPE_CHECKING:
    from callgate.config.intercept.report import Report

EVERY_TOOL: Final = "*"
"""The key of the rules that apply to every tool."""

_TOP: Final = ("version", "description", "default", "hide", "tools", "approvals")
_TERMS: Final = ("default_timeout", "dedupe_window", "notify")


@dataclass(frozen=True)
class Policy:
    """A document."""

    description: str
    default: str
    hide: tuple[str, ...]
    tools: dict[str, tuple[Rule, ...]]
    default_timeout: str
    """The time for which an approval waits; empty if the document has none."""


def read_policy(report: Report) -> Policy:
    """Reads a document; its faults are in the report."""
    top = Fields(report, (), report.source.data)
    top.check_names(_TOP, "a policy", own=OWN_TOP)
    if top.text("version") != "1":
        report.fault(("version",), 'expected the version "1"')
    default = top.text("default") or "allow"
    if default not in {"allow", "deny"}:
        report.fault(("default",), f"expected `allow` or `deny`, got {quoted(default)}")
    return Policy(
        description=top.text("description"),
        default=default,
        hide=tuple(_hidden(report, top)),
        tools=_tools(report, top),
        default_timeout=_default_timeout(report, top),
    )


def _hidden(report: Report, top: Fields) -> list[str]:
    names: list[str] = []
    for index, name in enumerate(top.list("hide")):
        if not isinstance(name, str):
            report.fault(("hide", index), "expected the name of a tool; put it in quotes")
        elif not name.strip():
            report.fault(("hide", index), "expected the name of a tool, got an empty one")
        elif name in names:
            report.fault(("hide", index), f"{quoted(name)} is in this list twice; remove one")
        else:
            names.append(name)
    return names


def _tools(report: Report, top: Fields) -> dict[str, tuple[Rule, ...]]:
    tools: dict[str, tuple[Rule, ...]] = {}
    for name, entry in (top.section("tools") or {}).items():
        steps = ("tools", name)
        if entry is not None and not isinstance(entry, dict):
            report.fault(steps, f"expected `rules` for the tool {quoted(name)}")
            continue
        if name == MERGE:
            report.fault(steps, NO_MERGE, of_key=True)
        if not name:
            report.fault(steps, "expected the name of a tool, got an empty one", of_key=True)
        fields = Fields(report, steps, entry or {})
        fields.check_names((MARK,), f"the tool {quoted(name)}", own=OWN_RULES, of_rules=RULE_FIELDS)
        tools[name] = read_rules(report, name, fields)
    return tools


def _default_timeout(report: Report, top: Fields) -> str:
    values: Any = top.section("approvals")
    if values is None:
        return ""
    fields = Fields(report, ("approvals",), values)
    fields.check_names(_TERMS, "`approvals`")
    for key in ("dedupe_window", "notify"):
        if key in values:
            message = f"`{key}` is not kept: a call waits for one approval, and the configuration says who is notified"
            report.note(("approvals", key), message, of_key=True)
    return fields.duration("default_timeout")
