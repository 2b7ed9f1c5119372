"""The section about limits, blocks and approvals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from callgate.workbench.site.policies import CALLS_PER_MINUTE, tighter_numbers
from callgate.workbench.site.shown import code, counted, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markupsafe import Markup

    from callgate.workbench.site.facts import ToolFacts

_MOST_ARGUMENTS: Final = 5
_CODE: Final = re.compile(r"`[^`]+`")


def rule_means(facts: ToolFacts) -> Iterator[Markup]:
    """Paragraphs about the recommended rule."""
    category = facts.tool.category
    if category is not None and category in CALLS_PER_MINUTE:
        yield say(
            "A starting point for the category {category}: each grant may call {tool} at most {most} times in any "
            "minute. A call above that is answered with `rate_limited` and the time after which it may be repeated. "
            "Every other tool is denied, because the default is `deny`.",
            category=category,
            tool=facts.code,
            most=str(CALLS_PER_MINUTE[category]),
        )
    elif category == "Destructive":
        yield say(
            "A starting point for the category Destructive: {tool} is taken out of the list of tools that the agent "
            "sees, and a call of it is denied with the rule `(hidden)`. A model does not ask for what it does not "
            "know.",
            tool=facts.code,
        )
    elif category == "Financial":
        yield say(
            "A starting point for the category Financial: a call of {tool} waits until a person has seen its "
            "arguments and agreed. One approval admits one call with exactly these arguments.",
            tool=facts.code,
        )
    else:
        yield say(
            "Nothing is recommended for a tool whose effect nobody knows. This policy does not name {tool}, so its "
            "default denies each call with the rule `(default deny)`. Under a policy with the default `allow`, the "
            "tool would be allowed, and only the rules for all tools would hold.",
            tool=facts.code,
        )


def what_to_limit(facts: ToolFacts) -> Iterator[Markup]:
    """Points of a list."""
    known = [one for one in facts.arguments if one.advice]
    said = {operator for one in known for operator in _CODE.findall(one.advice)}
    if facts.topic is not None and not said.intersection(_CODE.findall(facts.topic.advice)):
        yield say(facts.topic.advice)
    for argument in known[:_MOST_ARGUMENTS]:
        yield say("{argument}: ", argument=code(argument.shown)) + say(_lowered(argument.advice))
    if not facts.arguments:
        yield say(
            "The catalogue has no list of its arguments. Scan the server, or look at its own documentation, before "
            "you write rules for them."
        )
    elif not known:
        yield say(
            "The names of its arguments do not say what they hold. Read their descriptions, and bound each with the "
            "narrowest rule that fits."
        )
    yield say("Calls in a day as well as in a minute: a rate alone lets a patient attacker go on all night.")


def limit_example(facts: ToolFacts) -> Markup:
    """The sentence above the example that limits."""
    minute, day = tighter_numbers(facts.tool)
    if facts.tool.category in CALLS_PER_MINUTE:
        place = say("They are stricter than the recommended rule, and take its place.")
    elif facts.tool.category == "Financial":
        place = say("The approval of each call stays.")
    else:
        place = say("Use it only where the tool is really needed: it admits calls, each with an approval.")
    return say(
        "{minute} in any minute and {day} in any day for each grant. {place} The values of checks are examples: put "
        "your own there.",
        minute=counted(minute, "call"),
        day=f"{day:,}",
        place=place,
    )


def block_example(facts: ToolFacts) -> Markup:
    """The sentence above the examples that block."""
    return say(
        "With `action: deny` the model still sees {tool} in its list, and is told the reason when it calls. With "
        "`hide` it does not see the tool at all.",
        tool=facts.code,
    )


def ask_example(facts: ToolFacts) -> Markup:
    """The sentence above the example that asks people."""
    terms = {"critical": "Two people have to agree, each with a reason.", "high": "The person has to give a reason."}
    return say(
        "A request waits for one hour, and an approval can be used for ten minutes. {terms} Approvals need a store, "
        "such as `callgate serve --state FOLDER` makes; without one, these calls are denied.",
        terms=terms.get(facts.tool.risk or "", "One person has to agree."),
    )


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
