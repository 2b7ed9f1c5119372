"""Comparisons of text that other spellings pass (CG122 to CG124)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from callgate.text import quoted
from callgate.workbench.analyse.arguments import value_in, with_value
from callgate.workbench.analyse.findings import Witness, finding
from callgate.workbench.analyse.run import decided
from callgate.workbench.analyse.spellings import other_case, outside, respelled
from callgate.workbench.analyse.subject import passes
from callgate.workbench.rules import AllOf, AnyOf, Comparison
from callgate.workbench.witness import Atom
from callgate.workbench.witness.words import words_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from callgate.workbench.analyse.findings import Finding, WitnessCall
    from callgate.workbench.analyse.run import Run
    from callgate.workbench.rules import Check, Condition, Entry
    from callgate.workbench.witness import Call

_ELSEWHERE: Final = "callgate-example"
_MOST_ALTERNATIVES: Final = 8
_FLAGS: Final = re.compile(r"\(\?[a-zA-Z]*m")


def of_texts(run: Run, entry: Entry, tool: str) -> Iterator[Finding]:
    """The findings about the comparisons of text of one entry that applies to a tool."""
    if entry.mode != "enforce":
        return
    for check in entry.require:
        for one in _positive(check.conditions):
            yield from _of_requirement(run, entry, tool, check, one)
    for check in entry.deny_if:
        for one in _positive(check.conditions):
            yield from _of_denial(run, entry, tool, check, one)


def _positive(conditions: Iterable[Condition]) -> Iterator[Comparison]:
    """The comparisons that stand under no `not`."""
    for one in conditions:
        if isinstance(one, Comparison):
            yield one
        elif isinstance(one, (AllOf, AnyOf)):
            yield from _positive(one.conditions)


def _of_requirement(run: Run, entry: Entry, tool: str, check: Check, one: Comparison) -> Iterator[Finding]:
    if one.op == "regex" and (sides := _open_sides(one.value)):
        yield from _unanchored(run, entry, tool, check, one, sides)
    variants = outside(one) if one.op in ("starts_with", "ends_with", "contains") else ()
    if not variants:
        return
    for call in run.admitted(entry, tool):
        elsewhere = with_value(call, one.path, _ELSEWHERE)
        refused = None if elsewhere is None else run.subject.decide(elsewhere)
        if elsewhere is None or refused is None or refused.rule != check.pointer:
            # Something else admits the call, such as another branch of `any`.
            continue
        for variant in variants:
            changed = with_value(call, one.path, variant)
            decision = None if changed is None else run.subject.decide(changed)
            if changed is not None and decision is not None and passes(decision):
                operator = "host_in" if "://" in variant else "path_within"
                message = (
                    f"{quoted(check.pointer)} admits {quoted(variant)}, because `{one.op}` compares text; "
                    f"use `{operator}`"
                )
                witness = Witness(f"the call with {quoted(variant)} passes", (decided(changed, decision),))
                yield finding("CG123", message, check.pointer, one.at, witness)
                return


def _unanchored(
    run: Run, entry: Entry, tool: str, check: Check, one: Comparison, sides: tuple[str, ...]
) -> Iterator[Finding]:
    for call in run.admitted(entry, tool):
        elsewhere = _refused(run, call, one, check)
        if elsewhere is None:
            # Something else admits the call, such as another branch of `any`.
            continue
        for value in (value_in(call, one.path), *_matching(one)):
            same = with_value(call, one.path, value)
            if not isinstance(value, str) or same is None or not passes(run.subject.decide(same)):
                continue
            for side in sides:
                other = {"before": f"callgate {value}", "after": f"{value} callgate", "line": f"{value}\ncallgate"}[
                    side
                ]
                changed = with_value(call, one.path, other)
                decision = None if changed is None else run.subject.decide(changed)
                if changed is None or decision is None or not passes(decision):
                    continue
                place = "on a further line after" if side == "line" else side
                message = (
                    f"the `regex` of {quoted(check.pointer)} also admits text {place} what it matches; begin it with "
                    "`^` and end it with `$`, around a group if it has alternatives"
                )
                text = f"{quoted(other)} passes, and {quoted(str(value_in(elsewhere.call, one.path)))} does not"
                witness = Witness(text, (decided(changed, decision), elsewhere))
                yield finding("CG122", message, check.pointer, one.at, witness)
                return


def _matching(one: Comparison) -> Iterator[str]:
    """Texts that alternatives of an expression match, one after the other."""
    for part in _alternatives(one.value)[:_MOST_ALTERNATIVES]:
        yield from (word for word in words_for((Atom(one.path, "regex", part),)).words if word)


def _refused(run: Run, call: Call, one: Comparison, check: Check) -> WitnessCall | None:
    """The call with a text that the check refuses, which shows that the comparison matters; None if there is none."""
    for text in (_ELSEWHERE, "\N{SNOWMAN}", " ", ""):
        changed = with_value(call, one.path, text)
        decision = None if changed is None else run.subject.decide(changed)
        if changed is not None and decision is not None and decision.rule == check.pointer:
            return decided(changed, decision)
    return None


def _open_sides(expression: str) -> tuple[str, ...]:
    """The sides on which an expression is probably not anchored; the engine then shows if it is not."""
    body = re.sub(r"^\(\?[a-zA-Z]+\)", "", expression)
    if _FLAGS.match(expression):
        return ("line", "before", "after")
    begins = body.startswith(("^", r"\A"))
    ends = re.search(r"(?<!\\)(?:\\\\)*\$$", body) is not None or body.endswith(r"\z")
    has_alternatives = len(_alternatives(body)) > 1
    sides = []
    if (not begins or has_alternatives) and not body.startswith(".*"):
        sides.append("before")
    if (not ends or has_alternatives) and not body.endswith((".*", ".+")):
        sides.append("after")
    return tuple(sides)


def _alternatives(expression: str) -> list[str]:
    """The parts between each `|` outside of groups and sets."""
    found = [""]
    depth, is_set, at = 0, False, 0
    while at < len(expression):
        character = expression[at]
        width = 2 if character == "\\" else 1
        if width == 1 and is_set:
            is_set = character != "]"
        elif character == "[":
            is_set = True
        elif width == 1:
            depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0 and not is_set:
            found.append("")
        else:
            found[-1] += expression[at : at + width]
        at += width
    return found


def _of_denial(run: Run, entry: Entry, tool: str, check: Check, one: Comparison) -> Iterator[Finding]:
    if one.op not in ("eq", "in", "starts_with", "ends_with", "contains") or not one.path.is_of_arguments:
        return
    for call in run.admitted(entry, tool, check):
        value = value_in(call, one.path)
        denied = run.subject.decide(call)
        if not isinstance(value, str) or denied is None or denied.rule != check.pointer:
            continue
        for variant in respelled(one, value):
            changed = with_value(call, one.path, variant)
            decision = None if changed is None else run.subject.decide(changed)
            if changed is not None and decision is not None and passes(decision):
                operator = "host_in" if "://" in variant else "path_within"
                message = (
                    f"{quoted(check.pointer)} denies {quoted(value)} and admits {quoted(variant)}, which may mean the "
                    f"same; use `{operator}`"
                )
                text = f"{quoted(value)} is denied, and {quoted(variant)} passes"
                calls = (decided(call, denied), decided(changed, decision))
                yield finding("CG123", message, check.pointer, one.at, Witness(text, calls))
                return
        changed = with_value(call, one.path, other_case(value))
        decision = None if changed is None else run.subject.decide(changed)
        if other_case(value) != value and changed is not None and decision is not None and passes(decision):
            message = (
                f"{quoted(check.pointer)} denies {quoted(value)} and admits {quoted(other_case(value))}; use `require` "
                "with the allowed values, or a `regex` that begins with `(?i)`"
            )
            text = f"{quoted(value)} is denied, and {quoted(other_case(value))} passes"
            witness = Witness(text, (decided(call, denied), decided(changed, decision)))
            yield finding("CG124", message, check.pointer, one.at, witness)
            return
