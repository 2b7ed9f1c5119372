"""Checks that decide nothing, contradict each other, or come after a denial (CG101 to CG105)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from callgate.text import quoted
from callgate.workbench.analyse.findings import Fix, Witness, finding
from callgate.workbench.analyse.questions import HOLDS, Ending, described, lets_pass, stops
from callgate.workbench.rules import Comparison, pointer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.workbench.analyse.findings import Finding
    from callgate.workbench.analyse.run import Run
    from callgate.workbench.rules import Check, Entry

_AFTER_DENIAL: Final = ("require", "deny_if", "schema", "limits", "rate_limit")
_MOST_CONTEXT: Final = 12
_LARGEST: Final = 10**300
_LONGEST: Final = 1_000


def of_checks(run: Run, entry: Entry) -> Iterator[Finding]:
    """The findings about the checks of one entry that applies to some call."""
    if entry.action == "deny":
        yield from _after_denial(entry)
        return
    tool = run.subject.tool_of(entry)
    everywhere = run.subject.policy.all_tools
    others = () if entry is everywhere or entry.mode != everywhere.mode else everywhere.require
    before: list[Check] = []
    for part in (entry.require, (*others, *entry.deny_if), entry.when):
        for check in part:
            if check.at[: len(entry.at)] != entry.at:
                before.append(check)
                continue
            found, is_closed = _of_check(run, entry, tool, check, before)
            if found is not None:
                yield found
            if is_closed:
                return
            if check.part != "when":
                before.append(check)


def _of_check(
    run: Run, entry: Entry, tool: str | None, check: Check, before: Sequence[Check]
) -> tuple[Finding | None, bool]:
    """The finding about a check, and if no call passes it."""
    context = _related(check, before)
    if not context and _is_open(check):
        return None, False

    def ask(*endings: Ending) -> bool:
        answer = run.questions.ask(entry, tool, endings)
        if answer.reason:
            run.note(check.pointer, check.at, answer.reason)
        return answer.is_impossible

    passed = [lets_pass(one) for one in context]
    if ask(stops(check)):
        does = "asks for an approval" if check.part == "when" else "denies a call"
        text = f"a search over all values that the conditions tell apart finds no call: {described([check])}"
        message = f"{_name(check)} never {does}; delete it, or correct its conditions"
        return finding("CG101", message, check.pointer, check.at, Witness(text), fix=_fix(run, check)), False
    if check.part != "when" and entry.mode == "enforce" and ask(lets_pass(check), *passed):
        involved = [check] if ask(lets_pass(check)) else [*context, check]
        text = f"no call meets all of: {described(involved)}" if described(involved) else "the check has no condition"
        message = f"no call passes {quoted(entry.key)}: {_name(check)} denies every call that comes to it"
        return finding("CG104", message, check.pointer, check.at, Witness(text)), True
    if check.part != "require" and check.conditions and ask(Ending(check, HOLDS)):
        text = f"no call meets all of: {described([check])}"
        message = f"the conditions of {_name(check)} contradict each other; put alternatives into `any`"
        return finding("CG102", message, check.pointer, check.at, Witness(text)), False
    if context and ask(stops(check), *passed):
        document = run.subject.policy.document
        # Several checks may have one pointer.
        earlier = ", ".join(f"{_name(one)} (line {document.place(one.at)[0]})" for one in context[:3])
        text = f"no call meets all of: {described([check])}, and passes: {described(context)}"
        message = f"{_name(check)} never decides, because what it would deny is denied before by {earlier}; delete it"
        return finding("CG103", message, check.pointer, check.at, Witness(text), fix=_fix(run, check)), False
    return None, False


def _after_denial(entry: Entry) -> Iterator[Finding]:
    given = [key for key in _AFTER_DENIAL if isinstance(entry.data, dict) and entry.data.get(key)]
    if not given or entry.mode == "shadow":
        # In shadow, the rules after the action still say what they would do.
        return
    names = ", ".join(f"`{one}`" for one in given)
    yield finding(
        "CG105",
        f"{names} of {quoted(entry.key)} is never looked at: `action: deny` comes first",
        f"{entry.pointer}/action",
        (*entry.at, given[0]),
        Witness(f"`action: deny` of {quoted(entry.key)} denies every call before {names}"),
        of_key=True,
        fix=Fix(entry.at, tuple(given)),
    )


def _related(check: Check, before: Sequence[Check]) -> list[Check]:
    """The earlier checks that look at the same values, also through others; the nearest ones if there are many."""
    places = _places(check)
    found: list[Check] = []
    rest = list(before)
    while len(found) < _MOST_CONTEXT:
        near = [one for one in rest if _places(one) & places or not one.conditions]
        if not near:
            break
        near = near[-(_MOST_CONTEXT - len(found)) :]
        found += near
        rest = [one for one in rest if all(one is not other for other in near)]
        places = places.union(*map(_places, near))
    return found


def _places(check: Check) -> set[Any]:
    return {(one.path.root, one.path.keys[:1]) for one in check.comparisons()}


def _is_open(check: Check) -> bool:
    """True if it is plain that some calls meet the check and others do not: no search is needed."""
    places = []
    for one in check.conditions:
        if not isinstance(one, Comparison) or not one.path.is_of_arguments or not one.path.keys:
            return False
        if one.path.keys[0][0] != "key" or one.path.has_every or not _tells_apart(one):
            return False
        places.append(one.path.keys[0])
    return bool(places) and len(set(places)) == len(places)


def _tells_apart(one: Comparison) -> bool:
    match one.op:
        case "eq" | "neq" | "in" | "not_in" | "exists" | "path_within" | "host_in" | "cidr_in":
            return True
        case "lt" | "lte" | "gt" | "gte":
            return bool(-_LARGEST < one.value < _LARGEST)
        case "starts_with" | "ends_with":
            return bool(one.value)
        case "len_lt" | "len_gte":
            return bool(1 <= one.value <= _LONGEST)
        case "len_lte" | "len_gt":
            return bool(0 <= one.value <= _LONGEST)
        case _:
            return False


def _name(check: Check) -> str:
    return quoted(check.pointer) if check.part != "when" else quoted(f"{check.pointer}/when")


def _fix(run: Run, check: Check) -> Fix | None:
    """The removal of a check, unless a later check's pointer would change, or an approval would lose its last one."""
    entry = next(one for one in run.subject.policy.entries() if check.at[: len(one.at)] == one.at)
    siblings: Sequence[Check] = getattr(entry, check.part)
    if check.part == "when":
        # Without any check, an approval is always needed.
        return Fix(check.at) if len(siblings) > 1 else None
    index = next(number for number, one in enumerate(siblings) if one is check)
    numbered = any(
        one.pointer == f"{entry.pointer}/{one.part}{pointer(str(number))}" and one.name is None
        for number, one in enumerate(siblings)
        if number > index
    )
    return None if numbered else Fix(check.at)
