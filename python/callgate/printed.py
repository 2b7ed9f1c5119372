"""Decisions and explanations as people read them: what `callgate check` prints, without its colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.text import visible

if TYPE_CHECKING:
    from callgate._callgate import Decision, Explanation


def explanation(explanation: Explanation) -> str:
    """Every step, and the decision; also the text of ``str(explanation)``."""
    return "\n".join([*step_lines(explanation), *decision_lines(explanation.decision)])


def step_lines(explanation: Explanation) -> list[str]:
    """One line for each step, with the conditions of a check below it."""
    lines: list[str] = []
    for step in explanation.steps:
        shadowed = " (in shadow)" if step.shadowed else ""
        lines.append(f"{step.kind}: {step.rule}{' ' if step.rule else ''}{step.result}{shadowed}")
        for condition in step.conditions:
            met = ", ".join(condition.met) or "nothing"
            lines.append(f"    {condition.path} {condition.op}: met {met}: {condition.result}")
    return lines


def decision_lines(decision: Decision) -> list[str]:
    """The outcome and the rule, then one line for each other field that is there."""
    lines = [f"{decision.outcome} {decision.rule}".rstrip()]
    if decision.message:
        # A message holds names and reasons of others.
        lines += (f"  {visible(line)}" for line in decision.message.splitlines())
    if decision.retry_after_ms is not None:
        lines.append(f"  retry after {seconds(decision.retry_after_ms)}")
    for limit in decision.limits:
        resets = f", all of it in {seconds(limit.reset_after_ms)}" if limit.reset_after_ms else ""
        over = f", {limit.over} over it" if limit.over else ""
        lines.append(f"  limit {limit.counter}: {limit.remaining} of {limit.max} left{over}{resets}")
    if decision.shadow is not None:
        lines.append(f"  in shadow: {decision.shadow.outcome} {decision.shadow.rule}".rstrip())
    if decision.fingerprint is not None:
        lines.append(f"  fingerprint {decision.fingerprint}")
    if decision.policy:
        lines.append(f"  policy {decision.policy} {decision.policy_version}")
    return lines


def seconds(ms: int) -> str:
    """A duration in seconds."""
    return f"{ms / 1000:g} s"
