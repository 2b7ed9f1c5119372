"""The result of a comparison: differences with their witnesses, and what is not known."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from callgate.workbench.diff.sequences import Step
    from callgate.workbench.witness import Call

Direction: TypeAlias = Literal["wider", "stricter"]
"""Wider: the new policy admits what the old one does not."""

DIRECTIONS: tuple[Direction, Direction] = ("wider", "stricter")


class Verdict(Enum):
    """The result in one word."""

    WIDER = "wider"
    STRICTER = "stricter"
    BOTH = "both"
    SAME = "same"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """The decision of one policy about the last call of a witness."""

    outcome: str
    rule: str
    """Empty for a plain allow."""
    place: str
    """``file:line:column`` of the rule, or of the entry that applies."""
    shadow: str = ""
    """The outcome and rule under full enforcement, if it differs."""


@dataclass(frozen=True)
class Witness:
    """A call that one policy admits and the other does not, as both engines have decided it."""

    call: Call
    now_ms: int
    before: tuple[Step, ...] = ()
    """Calls that both policies admit before it."""
    assumption: str = ""
    """The fact about the tool that a catalogue would have to say; empty if none is needed."""


@dataclass
class Difference:
    """One difference of two policies."""

    direction: Direction
    kind: Literal["call", "sequence", "approval terms"]
    tools: list[str]
    """The tools for which it was found, by the patterns or names of the policies."""
    old: Answer
    new: Answer
    witness: Witness | None = None
    """None for terms of approvals: no decision shows them."""
    terms: tuple[str, ...] = ()
    """The changed terms of an approval, as sentences."""


@dataclass
class Unknown:
    """A place where the search was not complete."""

    directions: tuple[Direction, ...]
    tools: list[str]
    reason: str
    place: str
    """``file:line:column`` of what could not be examined."""


@dataclass
class Comparison:
    """All that was found about two policies."""

    old: str
    """The name of the old file."""
    new: str
    server: str | None = None
    """The server of both, if they are files of folders."""
    differences: list[Difference] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The verdict; unknown only if no difference was found."""
        found = {difference.direction for difference in self.differences}
        if len(found) > 1:
            return Verdict.BOTH
        if found:
            return Verdict(found.pop())
        return Verdict.UNKNOWN if self.unknown else Verdict.SAME

    @property
    def maybe(self) -> tuple[Direction, ...]:
        """The directions that were not found and are not excluded either."""
        found = {difference.direction for difference in self.differences}
        open_ = {direction for unknown in self.unknown for direction in unknown.directions}
        return tuple(direction for direction in DIRECTIONS if direction in open_ - found)


def verdict_of(comparisons: list[Comparison]) -> Verdict:
    """The verdict about several pairs of policies."""
    found = {one.verdict for one in comparisons}
    if Verdict.BOTH in found or {Verdict.WIDER, Verdict.STRICTER} <= found:
        return Verdict.BOTH
    order = (Verdict.WIDER, Verdict.STRICTER, Verdict.UNKNOWN)
    return next((one for one in order if one in found), Verdict.SAME)
