"""The sections about the need for a policy, and about abuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from callgate.workbench.site.effects import RISK_MEANINGS
from callgate.workbench.site.shown import code, listed, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markupsafe import Markup

    from callgate.workbench.site.facts import ToolFacts


@dataclass(frozen=True, slots=True)
class Danger:
    """One way in which access is abused."""

    title: str
    text: Markup


def needs_policy(facts: ToolFacts) -> Iterator[Markup]:
    """Paragraphs about the reasons for a policy."""
    tool = facts.tool
    yield say(facts.effect.reason)
    if facts.topic is not None:
        yield say(facts.topic.stake)
    yield from _together(facts)
    if tool.risk is not None:
        yield say("Its risk is {risk}. {meaning}", risk=tool.risk, meaning=RISK_MEANINGS[tool.risk])
    elif tool.category is not None:
        yield say(
            "Nobody has said how much harm a wrong call does. Conditions on `risk` in a policy therefore meet a "
            "missing value: they fulfil no requirement."
        )


def dangers(facts: ToolFacts) -> Iterator[Danger]:
    """The ways in which access is abused."""
    effect, words = facts.effect, facts.words
    results = words.plural or "results"
    if words.verb not in ("create", "add", "insert", "register", "publish", "upload", "send", "post"):
        results = "changes"
    yield Danger("An agent in a loop", say(effect.loop, tool=facts.code, results=results))
    yield Danger("Injected instructions", say(effect.injection, tool=facts.code) + _steered(facts))
    yield Danger("A stolen token", say(effect.theft, tool=facts.code))
    if facts.topic is not None:
        yield Danger(f"What is special about {facts.topic.noun}", say(facts.topic.abuse))


def _together(facts: ToolFacts) -> Iterator[Markup]:
    """The sentence about attributes that are dangerous together."""
    known = facts.tool.attributes.known()
    parts = [
        words
        for name, words in (
            ("private_data", "reads data that is not public"),
            ("untrusted_content", "returns content that strangers could have written"),
            ("sends_out", "can send data to others"),
        )
        if known.get(name)
    ]
    all_three = 3
    if len(parts) == all_three:
        yield say(
            "The tool {parts}. With all three, one call after another is enough to carry private data out: strangers "
            "give the instructions, and the tool does the rest.",
            parts=listed(parts),
        )
    elif parts:
        missing = "another tool of the same agent" if len(parts) > 1 else "other tools of the same agent"
        yield say(
            "The tool {parts}. Together with {missing} that is enough to carry private data out on the word of a "
            "stranger, so look at what else the agent may call.",
            parts=listed(parts),
            missing=missing,
        )


def _steered(facts: ToolFacts) -> Markup:
    """The arguments that an attacker would choose."""
    names = [one for one in facts.arguments if one.advice][:3]
    if not names:
        return say("")
    arguments = listed([str(code(one.shown)) for one in names])
    # Joined from parts that are escaped already.
    return say(" What it would steer here: {arguments}.", arguments=type(say(""))(arguments))
