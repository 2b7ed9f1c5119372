"""Replays of witnesses on engines that a test makes from the whole documents."""

from __future__ import annotations

from typing import Any

from callgate import Engine
from callgate.workbench.diff import Comparison, Difference
from callgate.workbench.witness import Call


def replay_all(comparison: Comparison, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Fails if a witness does not show what the comparison says of it."""
    for difference in comparison.differences:
        if difference.witness is None:
            assert difference.kind == "approval terms"
            assert difference.terms
            continue
        for document, answer in ((old, difference.old), (new, difference.new)):
            assert replay(document, difference) == (answer.outcome, answer.rule), difference
        ranks = [_rank(answer.outcome) for answer in (difference.old, difference.new)]
        assert (ranks[1] > ranks[0]) == (difference.direction == "wider")
        assert ranks[0] != ranks[1]


def replay(document: dict[str, Any], difference: Difference) -> tuple[str, str]:
    """Outcome and rule of the last call of a witness; every call before it must be allowed."""
    witness = difference.witness
    assert witness is not None
    call = witness.call
    facts = {name: value for name, value in (("category", call.category), ("risk", call.risk)) if value is not None}
    facts_of_tool = {**facts, "input_schema": {} if call.fits_input else {"not": {}}}
    tools = {one.tool: facts_of_tool for one in (call, *(step.call for step in witness.before))}
    catalogue = {"version": "1", "servers": {call.server: {"tools": tools}}}
    engine = Engine.from_dict({"name": "p", **document}, catalogue=catalogue)
    for step in witness.before:
        for _ in range(step.count):
            assert engine.check(**asked(step.call, step.now_ms)).allowed
    decision = engine.explain(**asked(call, witness.now_ms)).decision
    return decision.outcome.value, decision.rule


def asked(call: Call, now_ms: int) -> dict[str, Any]:
    """The arguments of `Engine.check` for a call."""
    return {
        "tool": call.tool,
        "grant": call.grant,
        "args": dict(call.args),
        "server": call.server,
        "session": call.session,
        "labels": dict(call.labels),
        "now_ms": now_ms,
    }


def _rank(outcome: str) -> int:
    return {"allow": 2, "approval_required": 1}.get(outcome, 0)
