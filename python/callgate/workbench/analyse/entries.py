"""Entries that never apply, and entries that lose the rules of wider ones (CG111 to CG114)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate._callgate import Engine
from callgate.text import quoted
from callgate.workbench.analyse.findings import Fix, Witness, WitnessCall, finding
from callgate.workbench.analyse.names import names_without
from callgate.workbench.analyse.questions import stops
from callgate.workbench.analyse.run import decided
from callgate.workbench.analyse.subject import passes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.analyse.findings import Finding
    from callgate.workbench.analyse.run import Run
    from callgate.workbench.rules import Entry


def of_reach(run: Run, entry: Entry) -> Iterator[Finding]:
    """The finding that an entry of `tools` never applies."""
    subject = run.subject
    pattern = entry.pattern
    if pattern is None or subject.tool_of(entry) is not None:
        return
    if names_without(pattern, subject.hide).is_proven:
        message = f"{quoted(entry.key)} is hidden by `hide`, so that its rules never apply"
        text = f"every name of {quoted(entry.key)} matches a pattern of `hide`"
        yield finding("CG113", message, entry.pointer, entry.at, Witness(text), of_key=True, fix=_fix(run, entry))
        return
    if names_without(pattern, subject.rivals(entry)).is_proven:
        takers = [one.text for one in subject.rivals(entry)]
        names = ", ".join(map(quoted, takers[:4])) + (f" and {len(takers) - 4} more" if len(takers) > 4 else "")  # noqa: PLR2004
        message = f"{quoted(entry.key)} never applies: other entries take every name of it; delete it"
        text = f"every name of {quoted(entry.key)} is taken by one of {names}"
        yield finding("CG111", message, entry.pointer, entry.at, Witness(text), of_key=True, fix=_fix(run, entry))
    elif subject.category_of(pattern.name or "") is None:
        # A category of the catalogue may hide the tool; then nothing is wrong with the entry.
        run.note(entry.pointer, entry.at, "no name is known to which the entry applies")


def _fix(run: Run, entry: Entry) -> Fix | None:
    """The removal of an entry, where another one still takes its names or `hide` does."""
    return Fix(entry.at) if len(run.subject.policy.tools) > 1 else None


def of_hide(run: Run) -> Iterator[Finding]:
    """The findings about patterns of `hide` that one other pattern covers."""
    hide = run.subject.policy.hide
    wide = [one for one in hide if one.name is None]
    gone: set[int] = set()
    for index, pattern in enumerate(hide):
        for number, other in enumerate(hide):
            if number == index or number in gone or (other.name is not None and other.name != pattern.name):
                continue
            if other.name is None and other not in wide[:100]:
                continue
            if not names_without(pattern, [other]).is_proven:
                continue
            gone.add(index)
            message = f"{quoted(pattern.text)} of `hide` is covered by {quoted(other.text)}; delete it"
            text = f"every name of {quoted(pattern.text)} matches {quoted(other.text)}"
            at = ("hide", index)
            yield finding("CG114", message, f"/hide/{index}", at, Witness(text), fix=Fix(at))
            break


def of_replaced(run: Run, entry: Entry, tool: str) -> Iterator[Finding]:
    """The finding that a narrower entry admits what the next wider one would stop."""
    pattern = entry.pattern
    if pattern is None or entry.action == "deny":
        return
    wider = [
        one
        for one in run.globs
        if one is not entry
        and one.pattern is not None
        and one.pattern.matches(tool)
        and (one.require or one.deny_if or one.limits or one.schema is not None or one.action != "allow")
    ]
    wider.sort(key=lambda one: -(one.pattern.literal_length if one.pattern else 0))
    for other in wider[:1]:
        if not names_without(pattern, [other.pattern] if other.pattern else []).is_proven:
            continue
        found = _difference(run, entry, other, tool)
        if found is not None:
            message = (
                f"{quoted(entry.key)} replaces the rules of {quoted(other.key)}, which do not apply to it; repeat "
                "those that should"
            )
            text = f"the call passes; under {quoted(other.key)} its rule would be {quoted(found[1])}"
            yield finding("CG112", message, entry.pointer, entry.at, Witness(text, (found[0],)), of_key=True)


def _difference(run: Run, entry: Entry, wider: Entry, tool: str) -> tuple[WitnessCall, str] | None:
    """A call that an entry admits, and the rule of the wider entry that would stop it, or would limit it."""
    engine = _alone(run, wider)
    if engine is None:
        return None
    for check in (*wider.require, *wider.deny_if, None):
        calls = run.admitted(entry, tool) if check is None else run.admitted(entry, tool, check, stops(check).wanted)
        for call in calls:
            decision = run.subject.decide(call)
            if decision is None or not passes(decision):
                continue
            other = engine.explain(tool=tool, grant=call.grant, args=dict(call.args), session=call.session).decision
            if not passes(other) and other.rule.startswith(wider.pointer):
                return decided(call, decision), other.rule
            named = {limit.counter for limit in decision.limits}
            if not check and (lost := [one for one in wider.limits if one.counter not in named]):
                return decided(call, decision), lost[0].pointer
            if other.rule.startswith(wider.pointer) and other.outcome != decision.outcome:
                return decided(call, decision), other.rule
    return None


def _alone(run: Run, entry: Entry) -> Engine | None:
    """An engine in which one entry is the only one, so that it applies to all of its names."""
    known = run.engines.get(entry.pointer)
    if known is None and len(run.engines) < 50:  # noqa: PLR2004  engines of this use
        document = {"version": "1", "default": "deny", "tools": {entry.key: entry.data}}
        known = run.engines[entry.pointer] = Engine.from_dict(document, {}, approvals=None)
    return known
