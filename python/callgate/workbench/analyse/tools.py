"""Tools of the catalogue against the patterns and categories of a policy (CG141 to CG144)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate.text import nearest, quoted
from callgate.workbench.analyse.findings import Witness, WitnessCall, finding
from callgate.workbench.analyse.run import decided
from callgate.workbench.witness import Call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.config.document import KeyPath
    from callgate.workbench.analyse.findings import Finding
    from callgate.workbench.analyse.run import Run
    from callgate.workbench.catalogue import Tool
    from callgate.workbench.rules import Entry, Pattern

_MOST_TOOLS: Final = 200
"""Tools that are named one by one."""
_MOST_MATCHES: Final = 2_000_000
"""Comparisons of patterns with names."""


def of_tools(run: Run) -> Iterator[Finding]:
    """The findings about a policy and the tools of its servers; none without a catalogue of them."""
    subject = run.subject
    if not subject.tools:
        return
    policy = subject.policy
    patterns: list[tuple[Pattern, KeyPath, str, bool]] = [
        (pattern, ("hide", index), f"/hide/{index}", False) for index, pattern in enumerate(policy.hide)
    ]
    patterns += [(one.pattern, one.at, one.pointer, True) for one in policy.tools if one.pattern is not None]
    globs = sum(one[0].name is None for one in patterns)
    if globs * len(subject.tools) > _MOST_MATCHES:
        run.note("/tools", ("tools",), "there are too many patterns and tools to compare them all")
        return
    for pattern, at, rule, of_key in patterns:
        name = pattern.name
        if (name in subject.tools) if name is not None else any(map(pattern.matches, subject.tools)):
            continue
        near = nearest(pattern.text, list(subject.tools)[:2_000])
        meant = "" if near is None else f"; did you mean {quoted(near)}?"
        message = f"{quoted(pattern.text)} matches no tool of the catalogue{meant}"
        text = f"none of the {len(subject.tools)} tools matches"
        yield finding("CG141", message, rule, at, Witness(text), of_key=of_key)
    yield from _categories(run)
    yield from _schemas(run)
    yield from _unnamed(run)


def _categories(run: Run) -> Iterator[Finding]:
    subject = run.subject
    given = {tool.category for _, tool in subject.listed}
    for name, entry in subject.policy.categories.items():
        if name not in given:
            message = f"no tool of the catalogue has the category {quoted(name)}"
            text = f"the {len(subject.listed)} tools have other categories, or none"
            yield finding("CG143", message, entry.pointer, entry.at, Witness(text), of_key=True)


def _schemas(run: Run) -> Iterator[Finding]:
    subject = run.subject
    for entry in subject.policy.entries():
        if entry.schema != "input" or entry.action == "deny":
            continue
        without = [
            (server, tool)
            for server, tool in subject.listed
            if tool.input_schema is None
            and not subject.policy.is_hidden(tool.name, tool.category)
            and any(one is entry for one in subject.policy.applying(tool.name, tool.category))
        ]
        if not without:
            continue
        more = f" and {len(without) - 1} more" if len(without) > 1 else ""
        server, tool = without[0]
        message = (
            f"the catalogue has no input schema of {_at(run, server, tool.name)}{more}, so that `schema: input` denies "
            "every call; scan the server"
        )
        calls = _denied(run, entry, server, tool)
        rule = f"{entry.pointer}/schema"
        yield finding("CG144", message, rule, (*entry.at, "schema"), Witness("a call of this tool is denied", calls))


def _at(run: Run, server: str, name: str) -> str:
    """The tool, with its server if there are several of the name."""
    is_one = sum(tool.name == name for _, tool in run.subject.listed) == 1
    return quoted(name) if is_one else f"{quoted(name)} at the server {quoted(server)}"


def _denied(run: Run, entry: Entry, server: str, tool: Tool) -> tuple[WitnessCall, ...]:
    made = next(iter(run.admitted(entry, tool.name)), Call(tool.name))
    call = run.subject.call_at(server, tool, made)
    decision = run.subject.decide(call)
    return () if decision is None else (decided(call, decision),)


def _unnamed(run: Run) -> Iterator[Finding]:
    subject = run.subject
    policy = subject.policy
    found = [
        (server, tool)
        for server, tool in subject.listed
        if not policy.is_hidden(tool.name, tool.category)
        and policy.entry_of(tool.name) is None
        and (tool.category is None or tool.category not in policy.categories)
    ]
    for server, tool in found[:_MOST_TOOLS]:
        name = tool.name
        call = subject.call_at(server, tool, subject.call(policy.all_tools, name))
        decision = subject.decide(call)
        calls = () if decision is None else (decided(call, decision),)
        more = f" (one of {len(found)} such tools)" if len(found) > _MOST_TOOLS else ""
        shown = _at(run, server, name)
        message = f"no entry and no category names {shown}, so that `default: {policy.default}` decides{more}"
        text = f"a call of {quoted(name)} meets no rule but `default` and `all_tools`"
        yield finding("CG142", message, "/default", ("default",), Witness(text, calls))
