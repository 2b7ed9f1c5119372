"""Comparisons as text for people and as JSON for programs."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from callgate.exact_json import write_json
from callgate.text import masked, visible
from callgate.workbench.diff.findings import Verdict, verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.diff.findings import Answer, Comparison, Difference, Unknown, Witness
    from callgate.workbench.witness import Call

_LONGEST_ARGUMENTS: Final = 400
_MOST_TOOLS: Final = 5
_MOST_STEPS: Final = 6


def text_lines(comparisons: list[Comparison]) -> Iterator[str]:
    """The lines for people."""
    for comparison in comparisons:
        yield _headline(comparison)
        yield from (f"  note: {note}" for note in comparison.notes)
        for difference in comparison.differences:
            yield ""
            yield from _difference(difference)
        for unknown in comparison.unknown:
            yield ""
            yield from _unknown(unknown)
        if comparison is not comparisons[-1]:
            yield ""


def document(comparisons: list[Comparison]) -> str:
    """The comparisons as JSON with exact numbers."""
    return write_json(
        {"verdict": verdict_of(comparisons).value, "comparisons": list(map(_comparison, comparisons))}, indent=2
    )


def _headline(one: Comparison) -> str:
    words = {Verdict.SAME: "same", Verdict.BOTH: "wider and stricter"}
    verdict = words.get(one.verdict, one.verdict.value)
    maybe = " and ".join(one.maybe)
    if one.verdict == Verdict.UNKNOWN:
        verdict = f"unknown; {' or '.join(one.maybe)} is not excluded"
    elif maybe:
        verdict = f"{verdict}; {maybe} is not excluded"
    server = f"{visible(one.server)}: " if one.server is not None else ""
    return f"{server}{masked(visible(one.old))} -> {masked(visible(one.new))}: {verdict}"


def _difference(one: Difference) -> Iterator[str]:
    kinds = {
        "call": "",
        "sequence": ", after calls that both admit",
        "approval terms": ", terms of approvals (no decision shows them)",
    }
    yield f"{one.direction}: {_tools(one.tools)}{kinds[one.kind]}"
    width = max(len(_outcome(one.old)), len(_outcome(one.new)))
    for name, answer in (("old", one.old), ("new", one.new)):
        yield f"  {name}  {_outcome(answer).ljust(width)}  {masked(visible(answer.place))}"
    yield from (f"  {visible(term)}" for term in one.terms)
    if one.witness is not None:
        yield from _witness(one.witness)


def _outcome(answer: Answer) -> str:
    rule = f" {visible(answer.rule)}" if answer.rule else ""
    shadow = f" (in shadow: {visible(answer.shadow)})" if answer.shadow else ""
    return f"{answer.outcome}{rule}{shadow}"


def _witness(one: Witness) -> Iterator[str]:
    calls = sum(step.count for step in one.before)
    for step in one.before[:_MOST_STEPS]:
        yield f"  {step.count} x  {_call(step.call)}, {_caller(step.call)}, {_time(step.now_ms)}"
    if len(one.before) > _MOST_STEPS:
        left = calls - sum(step.count for step in one.before[:_MOST_STEPS])
        yield f"  ... and {left} more calls, the last {_time(one.before[-1].now_ms)}"
    yield f"  {'then' if calls else 'call'} {_call(one.call)}, {_caller(one.call)}, {_time(one.now_ms)}"
    if one.assumption:
        yield f"  if the catalogue says of `{visible(one.call.tool)}` that {one.assumption}"


def _call(call: Call) -> str:
    arguments = masked(write_json(dict(call.args)))
    if len(arguments) > _LONGEST_ARGUMENTS:
        arguments = f"{arguments[:_LONGEST_ARGUMENTS]}... ({len(arguments)} characters; --json has all)"
    return f"{visible(call.tool)} {arguments}"


def _caller(call: Call) -> str:
    parts = [f"grant {visible(call.grant)}"]
    if call.session is not None:
        parts.append(f"session {visible(call.session)}")
    if call.server != "srv":
        parts.append(f"server {visible(call.server)}")
    parts += [f"label {visible(name)}={visible(value)}" for name, value in call.labels.items()]
    return ", ".join(parts)


def _time(now_ms: int) -> str:
    return f"{datetime.fromtimestamp(now_ms / 1000, timezone.utc):%a %Y-%m-%d %H:%M:%S}" + (
        f".{now_ms % 1000:03} UTC" if now_ms % 1000 else " UTC"
    )


def _unknown(one: Unknown) -> Iterator[str]:
    yield f"unknown: {_tools(one.tools)} may be {' or '.join(one.directions)}"
    yield f"  {visible(one.reason)}"
    yield f"  {masked(visible(one.place))}"


def _tools(tools: list[str]) -> str:
    shown = ", ".join(f"`{visible(tool)}`" for tool in tools[:_MOST_TOOLS])
    more = len(tools) - _MOST_TOOLS
    return f"{shown} and {more} more" if more > 0 else shown


def _comparison(one: Comparison) -> dict[str, Any]:
    return {
        "old": one.old,
        "new": one.new,
        **({"server": one.server} if one.server is not None else {}),
        "verdict": one.verdict.value,
        "not_excluded": list(one.maybe),
        "differences": [_difference_document(difference) for difference in one.differences],
        "unknown": [
            {"directions": list(each.directions), "tools": each.tools, "reason": each.reason, "place": each.place}
            for each in one.unknown
        ],
        "notes": one.notes,
    }


def _difference_document(one: Difference) -> dict[str, Any]:
    found: dict[str, Any] = {
        "direction": one.direction,
        "kind": one.kind,
        "tools": one.tools,
        "old": _answer_document(one.old),
        "new": _answer_document(one.new),
    }
    if one.terms:
        found["terms"] = list(one.terms)
    if one.witness is not None:
        found["witness"] = {
            "before": [{"count": step.count, **_call_document(step.call, step.now_ms)} for step in one.witness.before],
            "call": _call_document(one.witness.call, one.witness.now_ms),
            **({"assumption": one.witness.assumption} if one.witness.assumption else {}),
        }
    return found


def _answer_document(one: Answer) -> dict[str, str]:
    found = {"outcome": one.outcome, "rule": one.rule, "place": one.place}
    return {**found, "shadow": one.shadow} if one.shadow else found


def _call_document(call: Call, now_ms: int) -> dict[str, Any]:
    found = {
        "grant": call.grant,
        "server": call.server,
        "tool": call.tool,
        "args": dict(call.args),
        "session": call.session,
        "labels": dict(call.labels),
        "category": call.category,
        "risk": call.risk,
    }
    return {
        **{name: value for name, value in found.items() if value not in (None, {})},
        "args": dict(call.args),
        "now_ms": now_ms,
    }
