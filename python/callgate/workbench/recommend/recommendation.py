"""A recommended policy: its rules, and the reason for each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from callgate.workbench.recommend.defaults import key_of, limit_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.workbench.recommend.arguments import ArgumentChecks

LeftOutReason = Literal["no category", "ambiguous", "never used"]


@dataclass(frozen=True, slots=True)
class ToolRule:
    """The rules of one tool that is admitted."""

    tool: str
    max_calls: int | None
    """Calls in any minute for each grant; None if every call needs an approval instead."""
    reason: str
    """One sentence: category, risk, evidence and the limit."""
    checks: ArgumentChecks | None = None
    """The checks of its arguments; None if nobody asked for them."""
    is_raised: bool = False
    """True if the limit is higher than the category's, because a log shows more calls."""
    asks_less: bool = False
    """True if no call needs an approval, but some calls of a log had one."""

    @property
    def needs_approval(self) -> bool:
        """True if every call needs an approval."""
        return self.max_calls is None

    def document(self) -> dict[str, Any]:
        """The rules as they stand in a policy."""
        rules: dict[str, Any] = {}
        if self.max_calls is None:
            rules["action"] = "require_approval"
        if self.checks is not None and self.checks.require:
            rules["require"] = list(self.checks.require)
        if self.max_calls is not None:
            rules["limits"] = [limit_of(self.tool, self.max_calls)]
        return rules


@dataclass(frozen=True, slots=True)
class HiddenTool:
    """A tool that is hidden."""

    tool: str
    reason: str
    """One sentence: category, risk and evidence."""


@dataclass(frozen=True, slots=True)
class LeftOutTool:
    """A tool that the policy does not name, so that its calls are denied."""

    tool: str
    kind: LeftOutReason
    reason: str
    """One sentence."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The recommended policy of one server."""

    server: str
    rules: tuple[ToolRule, ...] = ()
    hidden: tuple[HiddenTool, ...] = ()
    left_out: tuple[LeftOutTool, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """Findings about single tools that a person should read."""

    @property
    def approvals(self) -> tuple[ToolRule, ...]:
        """The tools whose calls need an approval, and so a store."""
        return tuple(rule for rule in self.rules if rule.needs_approval)

    def document(self) -> dict[str, Any]:
        """The policy, without its explanations."""
        hidden: Mapping[str, Any] = {"hide": [key_of(one.tool) for one in self.hidden]} if self.hidden else {}
        tools = {key_of(rule.tool): rule.document() for rule in self.rules}
        return {"version": "1", "default": "deny", **hidden, "tools": tools}
