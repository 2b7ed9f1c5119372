"""Calls on which two forms of a policy are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate._callgate import Engine
from callgate.config.engine_form import engine_form
from callgate.workbench.analyse.questions import Questions, lets_pass, stops
from callgate.workbench.analyse.run import Run
from callgate.workbench.analyse.subject import Subject, asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate._callgate import Decision
    from callgate.workbench.catalogue import Catalogue
    from callgate.workbench.rules import Policy
    from callgate.workbench.witness import Call

_MOST_CALLS: Final = 1_000
_REPEATED: Final = 30
"""Equal calls one after the other, so that limits refuse."""
_MOST_REPEATED: Final = 60


def sample_calls(policy: Policy, servers: tuple[str, ...], catalogue: Catalogue | None) -> list[Call]:
    """Calls of every entry, of catalogue tools and of unknown ones, with arguments around the boundaries of checks."""
    run = Run(Subject(policy, servers, catalogue), Questions())
    subject = run.subject
    found: list[Call] = [subject.call(policy.all_tools, "callgate_unknown_tool")]
    found += [subject.call(policy.all_tools, name) for name in list(subject.tools)[:_MOST_CALLS]]
    for entry in policy.entries():
        if len(found) >= _MOST_CALLS:
            break
        names = [one for one in (subject.tool_of(entry), entry.pattern.example() if entry.pattern else None) if one]
        for name in dict.fromkeys(names):
            found.append(subject.call(entry, name))
            found += run.admitted(entry, name)
            for check in (*entry.require, *entry.deny_if, *entry.when):
                for ending in (stops(check), lets_pass(check)):
                    answer = run.questions.ask(entry, name, [ending])
                    found += [subject.call(entry, name, call) for call in answer.calls[:2]]
    return found[:_MOST_CALLS]


def differing(before: Policy, after: Policy, calls: Sequence[Call]) -> str | None:
    """The tool of the first call about which two policies decide differently; None if there is none."""
    engines = [_engine(policy, calls) for policy in (before, after)]
    for call in calls:
        one, other = (engine.explain(**asked(call)).decision for engine in engines)
        if _form(one) != _form(other):
            return call.tool
    for call in calls[:_MOST_REPEATED]:
        for _ in range(_REPEATED):
            one, other = (engine.check(**asked(call)) for engine in engines)
            if _form(one) != _form(other):
                return call.tool
    return None


def _engine(policy: Policy, calls: Sequence[Call]) -> Engine:
    form = engine_form(policy.document.file, policy.document.content)
    servers: dict[str, dict[str, dict[str, dict[str, str]]]] = {}
    for call in calls:
        facts = {key: value for key, value in (("category", call.category), ("risk", call.risk)) if value is not None}
        if facts:
            servers.setdefault(call.server, {"tools": {}})["tools"][call.tool] = facts
    names = {call.server for call in calls}
    return Engine.from_config(
        # A need is compared as it is; nobody is asked.
        approvals=None,
        policies={"policy": (form.file, form.content)},
        servers=dict.fromkeys(sorted(names), "policy"),
        catalogue={"version": "1", "servers": servers} if servers else None,
    )


def _form(decision: Decision) -> tuple[object, ...]:
    """Everything of a decision but the version of its policy, and the limits that it names."""
    return decision.outcome, decision.rule, decision.message, decision.retry_after_ms
