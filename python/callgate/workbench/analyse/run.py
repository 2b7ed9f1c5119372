"""One analysis: its subject, its questions, and the places about which nothing is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from callgate.text import quoted
from callgate.workbench.analyse.findings import Witness, WitnessCall, finding
from callgate.workbench.analyse.questions import Ending, Questions, counted_by, lets_pass
from callgate.workbench.witness import truth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate._callgate import Decision, Engine
    from callgate.config.document import KeyPath
    from callgate.workbench.analyse.findings import Finding
    from callgate.workbench.analyse.subject import Subject
    from callgate.workbench.rules import Check, Entry
    from callgate.workbench.witness import Call


@dataclass
class Run:
    """The state that the parts of one analysis share."""

    subject: Subject
    questions: Questions = field(default_factory=Questions)
    engines: dict[str, Engine] = field(default_factory=dict)
    """Engines with one entry alone, by its pointer."""
    _unknown: dict[KeyPath, Finding] = field(default_factory=dict)

    def note(self, rule: str, at: KeyPath, reason: str) -> None:
        """Says that nothing is known about a place; once for each."""
        if at not in self._unknown:
            text = f"nothing is known about {quoted(rule)}: {reason}"
            self._unknown[at] = finding("CG190", text, rule, at, Witness(reason))

    @cached_property
    def globs(self) -> tuple[Entry, ...]:
        """The entries of `tools` with wildcards."""
        return tuple(one for one in self.subject.policy.tools if one.pattern is not None and one.pattern.name is None)

    @property
    def unknown(self) -> list[Finding]:
        """The places about which nothing is known."""
        return list(self._unknown.values())

    def admitted(self, entry: Entry, tool: str, check: Check | None = None, wanted: int = truth.TRUE) -> Iterator[Call]:
        """Calls that pass all checks of an entry and of `all_tools`, but for one check that ends as is wanted.

        The engine has not decided them yet.
        """
        everywhere = self.subject.policy.all_tools
        rules = [*entry.require, *entry.deny_if]
        limits = [*entry.limits]
        if entry is not everywhere:
            rules += [*everywhere.require, *everywhere.deny_if]
            limits += everywhere.limits
        endings = [lets_pass(one) for one in rules if one is not check]
        counted = counted_by(limits)
        if check is not None:
            # The first one: a search in parts begins there.
            endings.insert(0, Ending(check, wanted))
            # The check stops such a call before a limit looks at the same argument.
            looked = {one.path.keys for one in check.comparisons()}
            counted = [one for one in counted if one.path.keys not in looked]
        answer = self.questions.ask(entry, tool, endings, counted)
        if answer.reason:
            at, rule = (entry.at, entry.pointer) if check is None else (check.at, check.pointer)
            self.note(rule, at, answer.reason)
        for call in answer.calls:
            yield self.subject.call(entry, tool, call)


def decided(call: Call, decision: Decision, times: int = 1) -> WitnessCall:
    """A call of a witness."""
    return WitnessCall(call, decision.outcome.value, decision.rule, times)
