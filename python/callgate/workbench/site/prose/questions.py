"""Questions about one tool, with answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.workbench.site.policies import CALLS_PER_MINUTE
from callgate.workbench.site.shown import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from markupsafe import Markup

    from callgate.workbench.catalogue import Category
    from callgate.workbench.site.facts import ToolFacts


_WITHOUT_RULE: Final[Mapping[Category, str]] = {
    "Read": (
        "Only if everything that it can return may be known to whoever steers the agent. A limit is still worth "
        "having, because it stops loops and makes copying everything slow."
    ),
    "Write": (
        "Better not. Nothing then stops a loop or a stolen token, and what was written has to be found and taken back "
        "by hand."
    ),
    "Execute": (
        "No. The arguments decide what runs, so an agent without a rule may do whatever the server's user may do."
    ),
    "Destructive": "No. The first wrong call is already the damage.",
    "Financial": "No. A person answers for the money, so a person should see the call.",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its answer."""

    question: Markup
    answer: Markup


def questions_about(facts: ToolFacts) -> Iterator[Question]:
    """The questions that fit a tool."""
    category, tool = facts.tool.category, facts.code
    yield Question(say("May an agent call {tool} without a rule of its own?", tool=tool), _without_rule(facts))
    if category in CALLS_PER_MINUTE:
        yield from _about_limits(facts)
    elif category == "Destructive":
        yield Question(
            say("What if a task really needs {tool}?", tool=tool),
            say(
                "Take it out of `hide` and give it an entry with `action: require_approval`, as under “Require "
                "approval”. A person then sees each call before it is made. A grant for that task alone, which "
                "expires, is better than one that always has the tool."
            ),
        )
        yield Question(
            say("Why hide it, when denying would do?"),
            say(
                "Both stop the call. But a model that sees a tool plans with it, tries it, and looks for another way "
                "when it is denied. A tool that is not in the list does not enter the plan."
            ),
        )
    elif category == "Financial":
        yield Question(
            say("How does a person agree to a call?"),
            say(
                "The call is answered with `approval_required`. People see it with its arguments in the approvals of "
                "callgate, in a browser or with `callgate approvals`, and the agent repeats the same call after that. "
                "A call with any other argument is another call, and waits again."
            ),
        )
        yield Question(
            say("Can small amounts pass without a person?"),
            say(
                "Yes: `approval.when` takes conditions, such as an amount above 100, and only calls that meet them "
                "wait. Put a limit with `cost` beside it, so that many small amounts do not become a large one."
            ),
        )
    else:
        yield Question(
            say("How is it classified?"),
            say(
                "Write its category and risk into the catalogue, below `overrides`, with the reason. That is a "
                "person's word, and later scans keep it. Then build this site again."
            ),
        )
    yield Question(
        say("How is the rule tried without stopping anybody?"),
        say(
            "Add `mode: shadow` to the policy. Calls then pass, and each decision says what it would have been. When "
            "the log shows no surprise, take the line out."
        ),
    )
    yield Question(say("Does the risk change a decision?"), _risk(facts))
    if facts.tool.description:
        yield Question(
            say("Can the server's description be trusted?"),
            say(
                "No. Its author is whoever runs the server, and a model believes what it reads there. It can change "
                "after somebody has reviewed it. Where callgate pins tools with `enforce`, a changed tool is denied."
            ),
        )


def _without_rule(facts: ToolFacts) -> Markup:
    category = facts.tool.category
    if category is None:
        return say(
            "No. Nobody has said what a call does, so nobody can say that it does no harm. Under a policy with the "
            "default `deny` it is denied until somebody adds it by name."
        )
    return say(_WITHOUT_RULE[category])


def _about_limits(facts: ToolFacts) -> Iterator[Question]:
    most = str(CALLS_PER_MINUTE[facts.tool.category]) if facts.tool.category else ""
    yield Question(
        say("What does the agent see when the limit is reached?"),
        say(
            "A result that says so in words, with the time after which the call may be repeated. An MCP client gets a "
            "tool result with `isError`, a client over HTTP the status 429 with `Retry-After`. A refused call takes "
            "nothing from the limit."
        ),
    )
    yield Question(
        say("For whom do the {most} calls count?", most=most),
        say(
            "For each grant by itself, that is for each caller's credential, and in any interval of 60 seconds. They "
            "are counted by one callgate process: two that do not share their counters admit twice as many. Write "
            "`scope: global` for one count over all callers."
        ),
    )
    yield Question(
        say("Why {most} in a minute, and not another number?", most=most),
        say(
            "It is a starting point for the whole category {category}: more than an agent needs that works step by "
            "step, and far less than one that is out of control. Look at the decision log after some days, and set "
            "it a little above what you see.",
            category=str(facts.tool.category),
        ),
    )


def _risk(facts: ToolFacts) -> Markup:
    if facts.tool.risk is None:
        return say(
            "Not by itself. A policy can have conditions on `risk`, but this tool has none in the catalogue: such a "
            "condition then meets a missing value, and fulfils no requirement."
        )
    return say(
        "Not by itself: the recommended rule goes by the category. A policy can look at it, such as with the "
        "condition `risk in [high, critical]` for all tools, and this tool's risk is {risk}.",
        risk=facts.tool.risk,
    )
