"""Decisions for people and programs: coloured on a terminal, plain if the output is piped."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from callgate import printed
from callgate._callgate import Decision, Explanation, Step
from callgate.outcome import Outcome

if TYPE_CHECKING:
    from callgate.control.review import Finding

_STYLES = {
    Outcome.ALLOW: "bold green",
    Outcome.DENY: "bold red",
    Outcome.RATE_LIMITED: "bold yellow",
    Outcome.APPROVAL_REQUIRED: "bold cyan",
}


def decision(decision: Decision, *, as_json: bool) -> None:
    """One decision with all its fields."""
    if as_json:
        _json(decision.to_dict())
        return
    first, *others = printed.decision_lines(decision)
    head = Text(first)
    head.stylize(_STYLES[decision.outcome], 0, len(decision.outcome.value))
    for text in (head, *map(Text, others)):
        _print(text)


def line(number: int, decision: Decision, *, as_json: bool) -> None:
    """One decision of several, on one line."""
    if as_json:
        _json(decision.to_dict())
        return
    after = "" if decision.retry_after_ms is None else f" retry after {printed.seconds(decision.retry_after_ms)}"
    shadow = "" if decision.shadow is None else f" in shadow: {decision.shadow.outcome} {decision.shadow.rule}".rstrip()
    _print(Text.assemble(f"{number} ", *_head(decision), after, shadow))


def summary(outcomes: Mapping[Outcome, int], shadows: Mapping[Outcome, int], *, as_json: bool) -> None:
    """The number of each outcome, and of those that enforcement would have given; only in the output for people."""
    if as_json:
        return
    _print(Text(", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())))
    if shadows:
        _print(Text("in shadow: " + ", ".join(f"{count} {outcome}" for outcome, count in shadows.items())))


def explanation(explanation: Explanation, *, as_json: bool) -> None:
    """Every step, and the decision."""
    if as_json:
        steps = [_step(step) for step in explanation.steps]
        _json({"steps": steps, "decision": explanation.decision.to_dict()})
        return
    for text in printed.step_lines(explanation):
        _print(Text(text))
    decision(explanation.decision, as_json=False)


def findings(found: "Sequence[Finding]", *, ok: str) -> None:
    """Faults on stderr and warnings on stdout; then, if there is no fault, that `ok` is."""
    for finding in found:
        # A file without a place is named by the text, or else here.
        is_named = finding.line is not None or finding.file is None or finding.file in finding.text
        typer.echo(finding if is_named else f"{finding.file}: {finding}", err=finding.severity == "error")
    if not code_of(found):
        typer.echo(f"{ok}: ok")


def findings_as_json(found: "Sequence[Finding]") -> None:
    """One list of objects."""
    typer.echo(json.dumps([finding.fields() for finding in found], ensure_ascii=False, indent=2))


def code_of(found: "Sequence[Finding]") -> int:
    """The exit code: 2 if one of them is a fault."""
    return 2 if any(finding.severity == "error" for finding in found) else 0


def _head(decision: Decision) -> list[str | tuple[str, str]]:
    return [(decision.outcome.value, _STYLES[decision.outcome]), f" {decision.rule}" if decision.rule else ""]


def _step(step: Step) -> dict[str, Any]:
    conditions = [
        {"path": condition.path, "op": condition.op, "met": list(condition.met), "result": condition.result}
        for condition in step.conditions
    ]
    return {
        "kind": step.kind,
        "rule": step.rule,
        "shadowed": step.shadowed,
        "result": step.result,
        "conditions": conditions,
    }


def _json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False))


def _print(text: Text) -> None:
    Console(highlight=False, soft_wrap=True).print(text)
