"""The sentences that explain rules. Their evidence is other people's text, which is shown on one harmless line."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from callgate.text import masked, plain_line, quoted
from callgate.workbench.recommend.defaults import CALLS_PER_MINUTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.workbench.catalogue import Correction, Tool
    from callgate.workbench.recommend.recommendation import Recommendation
    from callgate.workbench.recommend.usage import ToolUse, Usage

_LONGEST_EVIDENCE: Final = 200
"""Characters of evidence in a sentence: about two lines."""

STORE: Final = (
    "approvals need a store, as `callgate serve --state FOLDER` makes one; without it, these calls are denied"
)
"""The condition for every rule that asks people."""


AMBIGUOUS: Final = "its server lists it several times, with different definitions"
"""The reason why a category says too little."""


def facts_of(tool: Tool, correction: Correction | None) -> str:
    """The beginning of each sentence: category, risk, and the evidence for them."""
    risk = f"{tool.risk} risk" if tool.risk else "risk not known"
    return f"{tool.category}, {risk} ({_evidence(tool, correction)})"


def limited(tool: Tool, facts: str, most: int, use: ToolUse | None) -> str:
    """The sentence about a tool with a limit."""
    category = tool.category or ""
    recommended = CALLS_PER_MINUTE.get(tool.category) if tool.category is not None else None
    limit = f"at most {counted(most, 'call')} per minute for each grant"
    if use is None:
        return f"{facts}: {limit}"
    of_log = f"{used(use)}, by one grant at most {use.peak:,} in a minute"
    if recommended is not None and most > recommended:
        more = f"more than the {recommended} that are recommended for {category}"
        return f"{facts}: {limit}, {more}, because it was {of_log}"
    return f"{facts}: {limit}, because it was {of_log}"


def approved(facts: str, *, is_kept: bool, is_hidden: bool, use: ToolUse | None) -> str:
    """The sentence about a tool whose calls need an approval.

    Args:
        facts: The beginning of the sentence.
        is_kept: True if a person keeps the tool.
        is_hidden: True if tools of its category are hidden.
        use: Its use; None if it was never used, or no log was read.
    """
    approval = "each call needs a person's approval, which needs a store"
    reasons = ["it is kept on request"] if is_kept else []
    if use is not None:
        reasons.append(f"it was {used(use)}")
    said = " and ".join(reasons)
    if is_hidden:
        return f"{facts}: not hidden, because {said}; {approval}"
    return f"{facts}: {approval}; {said}" if said else f"{facts}: {approval}"


def hidden(facts: str, *, is_unused: bool) -> str:
    """The sentence about a hidden tool."""
    never = ", and it was never used" if is_unused else ""
    return f"{facts}: hidden from lists and denied{never}"


def used(use: ToolUse) -> str:
    """The number of calls of a tool, and their days."""
    first, last = (_day(at) for at in (use.first_us, use.last_us))
    days = f"on {first}" if first == last else f"between {first} and {last}"
    approved = f", {use.approved:,} of them with a person's approval" if use.approved else ""
    shadowed = f", {use.shadowed:,} of them only because of shadow mode" if use.shadowed else ""
    return f"used {counted(use.allowed, 'time')} {days}{approved}{shadowed}"


def refused(outcomes: Mapping[str, int]) -> str:
    """The calls of a tool that were not allowed, as the end of its sentence; empty for none."""
    if not outcomes:
        return ""
    said = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(outcomes.items()))
    return f"; calls that were not allowed: {said}"


def header_of(recommendation: Recommendation, usage: Usage | None) -> list[str]:
    """Sentences about a whole policy."""
    header = [f"Recommended by `callgate recommend` for the server {quoted(recommendation.server)}."]
    if usage is not None and usage.first_us is not None and usage.last_us is not None:
        days = f"{_day(usage.first_us)} to {_day(usage.last_us)}"
        decisions = counted(usage.decisions, "decision")
        header.append(f"It keeps what was used in {decisions} from {days}; what was never used is left out.")
    if recommendation.approvals:
        header.append(f"{STORE[0].upper()}{STORE[1:]}.")
    return header


def counted(number: int, what: str) -> str:
    """A number with its noun."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _evidence(tool: Tool, correction: Correction | None) -> str:
    if correction is not None and (correction.category or correction.risk):
        reason = _shown(correction.reason)
        return f"corrected by a person: {reason}" if reason else "corrected by a person, who gives no reason"
    sure = "" if tool.confidence is None else f", confidence {tool.confidence:.2f}"
    return f"{_shown(tool.evidence) or 'the catalogue gives no evidence'}{sure}"


def _shown(text: str) -> str:
    # A very long text is not read to its end; a secret may be longer than what is shown of it.
    line = masked(plain_line(text[: 10 * _LONGEST_EVIDENCE])).rstrip(".")
    return line if len(line) <= _LONGEST_EVIDENCE else f"{line[:_LONGEST_EVIDENCE].rstrip()}..."


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, tz=timezone.utc).date().isoformat()
