"""The analysis of a policy as a whole."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.workbench.analyse.checks import of_checks
from callgate.workbench.analyse.entries import of_hide, of_reach, of_replaced
from callgate.workbench.analyse.limits import of_limits
from callgate.workbench.analyse.missing import of_missing
from callgate.workbench.analyse.questions import USED_UP, Questions
from callgate.workbench.analyse.run import Run
from callgate.workbench.analyse.subject import Subject
from callgate.workbench.analyse.texts import of_texts
from callgate.workbench.analyse.tools import of_tools
from callgate.workbench.analyse.useless import of_useless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from callgate.workbench.analyse.findings import Finding
    from callgate.workbench.catalogue import Catalogue
    from callgate.workbench.rules import Entry, Policy

MOST_FINDINGS: Final = 1_000
"""Findings of one policy that are kept."""


@dataclass(frozen=True)
class Analysis:
    """The result of an analysis."""

    findings: tuple[Finding, ...]
    """In document order."""
    unknown: tuple[Finding, ...]
    """Places about which nothing is known (CG190), in document order."""
    is_cut: bool
    """True if there were more findings than are kept."""


def analyse(
    policy: Policy,
    servers: tuple[str, ...] = ("srv",),
    catalogue: Catalogue | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Analysis:
    """Analyses a policy within bounds of steps and time.

    Args:
        policy: The policy.
        servers: The servers that it serves; calls of a witness name one of them.
        catalogue: The tools of the servers; None if nothing is known of them.
        clock: Time in seconds, for the bound of time.
    """
    run = Run(Subject(policy, servers, catalogue), Questions(clock))
    found: list[Finding] = []
    is_cut = False
    for one in _all(run):
        if len(found) == MOST_FINDINGS:
            is_cut = True
            break
        found.append(one)

    def place(one: Finding) -> tuple[int, int, str]:
        return (*policy.document.place(one.at, of_key=one.of_key), one.code.code)

    return Analysis(tuple(sorted(found, key=place)), tuple(sorted(run.unknown, key=place)), is_cut)


def _all(run: Run) -> Iterator[Finding]:
    yield from of_hide(run)
    yield from of_tools(run)
    yield from of_useless(run)
    entries = [entry for entry in run.subject.policy.entries() if not entry.is_hidden]
    for number, entry in enumerate(entries):
        run.questions.begin_entry(len(entries) - number)
        yield from _of_entry(run, entry)


def _of_entry(run: Run, entry: Entry) -> Iterator[Finding]:
    tool = run.subject.tool_of(entry)
    if entry.pattern is not None and tool is None:
        yield from of_reach(run, entry)
        return
    is_closed = False
    for one in of_checks(run, entry):
        is_closed = is_closed or one.code.code == "CG104"
        yield one
    if not is_closed:
        yield from of_limits(run, entry, tool)
    if tool is None or is_closed or entry.action == "deny":
        return
    if run.questions.is_over:
        run.note(entry.pointer, entry.at, USED_UP)
        return
    yield from of_missing(run, entry, tool)
    yield from of_texts(run, entry, tool)
    yield from of_replaced(run, entry, tool)
