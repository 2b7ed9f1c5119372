"""Denials that a missing argument walks around (CG121)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.text import quoted
from callgate.workbench.analyse.arguments import with_value
from callgate.workbench.analyse.findings import Witness, finding
from callgate.workbench.analyse.run import decided
from callgate.workbench.analyse.subject import passes
from callgate.workbench.witness import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.analyse.findings import Finding
    from callgate.workbench.analyse.run import Run
    from callgate.workbench.rules import Check, Entry


def of_missing(run: Run, entry: Entry, tool: str) -> Iterator[Finding]:
    """The findings about the `deny_if` of one entry that applies to a tool.

    The rules of `all_tools` and of categories look at arguments that many tools do not have: that such a tool's calls
    pass is their purpose, so nothing is said of them.
    """
    if entry.pattern is None or entry.mode != "enforce":
        return
    for check in entry.deny_if:
        if any(one.op != "exists" and one.path.is_of_arguments for one in check.comparisons()):
            found = _of_check(run, entry, tool, check)
            if found is not None:
                yield found


def _of_check(run: Run, entry: Entry, tool: str, check: Check) -> Finding | None:
    for call in run.admitted(entry, tool, check):
        denied = run.subject.decide(call)
        if denied is None or denied.rule != check.pointer:
            continue
        for one in check.comparisons():
            if one.op == "exists":
                continue
            shorter = with_value(call, one.path, ABSENT)
            decision = None if shorter is None else run.subject.decide(shorter)
            if shorter is None or decision is None or not passes(decision):
                continue
            path = quoted(one.path.text)
            message = (
                f"{quoted(check.pointer)} is walked around by a call without {path}; add "
                f"`{{path: {one.path.text}, op: exists, value: true}}` to `require`, unless the tool's default is "
                "harmless"
            )
            text = f"the same call is denied with {path} and passes without it"
            witness = Witness(text, (decided(call, denied), decided(shorter, decision)))
            return finding("CG121", message, check.pointer, one.at, witness)
    return None
