"""Findings of an analysis, each with its evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from callgate.text import plain_line
from callgate.workbench.analyse.codes import CODES

if TYPE_CHECKING:
    from callgate.config.document import KeyPath
    from callgate.workbench.analyse.codes import Code
    from callgate.workbench.witness import Call


@dataclass(frozen=True)
class WitnessCall:
    """One call of a witness, with the decision that the engine made."""

    call: Call
    outcome: str
    rule: str
    times: int = 1
    """The number of equal calls, one after the other, that had this decision."""

    def fields(self) -> dict[str, Any]:
        """The form for programs."""
        call = self.call
        found: dict[str, Any] = {"tool": call.tool, "grant": call.grant, "server": call.server, "args": call.args}
        if call.session is not None:
            found["session"] = call.session
        if call.labels:
            found["labels"] = dict(call.labels)
        if call.category is not None:
            found["category"] = call.category
        if call.risk is not None:
            found["risk"] = call.risk
        return {**found, "now_ms": call.now_ms, "times": self.times, "outcome": self.outcome, "rule": self.rule}


@dataclass(frozen=True)
class Witness:
    """The evidence of a finding: a proof in words, or calls that the engine has decided."""

    text: str
    calls: tuple[WitnessCall, ...] = ()

    def fields(self) -> dict[str, Any]:
        """The form for programs."""
        return {"text": self.text, "calls": [one.fields() for one in self.calls]}


@dataclass(frozen=True)
class Finding:
    """One thing that an analysis has found."""

    code: Code
    message: str
    """Lowercase, without a final period: the fact, and the edit that mends it."""
    rule: str
    """Pointer to the rule."""
    at: KeyPath
    """Its place in the document."""
    witness: Witness
    of_key: bool = False
    """True if the place is that of the key."""
    fix: Fix | None = None


@dataclass(frozen=True)
class Fix:
    """The removal of a part of the document that never has an effect."""

    at: KeyPath
    """The member or the item."""
    fields: tuple[str, ...] = field(default=())
    """Members of it that are removed in its place."""


def finding(
    code: str,
    message: str,
    rule: str,
    at: KeyPath,
    witness: Witness,
    *,
    of_key: bool = False,
    fix: Fix | None = None,
) -> Finding:
    """A finding with the code of this name; its text is made harmless for terminals."""
    return Finding(CODES[code], plain_line(message), rule, at, witness, of_key, fix)
