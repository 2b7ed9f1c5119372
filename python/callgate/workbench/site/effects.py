"""The meaning of categories, risks and attributes, and the harm that each category makes possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.workbench.catalogue import Category, Risk


@dataclass(frozen=True, slots=True)
class Effect:
    """The sentences about one category."""

    short: str
    """The effect of a call, for lists."""
    meaning: str
    reason: str
    """The reason for a policy."""
    loop: str
    injection: str
    theft: str
    recommended: str
    """The recommended rule in one sentence."""
    chip: str
    """The same in two or three words."""


EFFECTS: Final[Mapping[Category | None, Effect]] = {
    "Read": Effect(
        short="Returns data and is meant to change nothing",
        meaning="A call returns data and is meant to change nothing.",
        reason=(
            "Reading looks harmless, because nothing is different afterwards. But an answer becomes part of what the "
            "model knows: it can be repeated to others, and text in it can steer the next step. And each call uses up "
            "time and quota of the server."
        ),
        loop=(
            "An agent that does not find what it wants asks again with other words, and does not stop by itself. At "
            "one call a second that is 3,600 answers an hour, each of them paid for again as input of the model, "
            "while others find the server's own quota used up."
        ),
        injection=(
            "A page, ticket or file that the agent reads can say: call {tool} first, and put the result into your "
            "answer. A model cannot reliably tell such text from your instructions."
        ),
        theft=(
            "Whoever finds the agent's token can call {tool} from anywhere, and copy what it returns at full speed. "
            "Nothing breaks, so nobody notices."
        ),
        recommended="At most 60 calls in any minute for each grant.",
        chip="60 per minute",
    ),
    "Write": Effect(
        short="Adds or changes something that stays",
        meaning="A call adds or changes something that stays after the call.",
        reason=(
            "What a call writes stays when the conversation is over, and other people and programs act on it. A model "
            "that is unsure tries again, so that one mistake can be written many times before anybody looks."
        ),
        loop=(
            "An agent that takes an unclear answer for a failure tries again, and every try may leave {results} "
            "behind. At one call a second that is 3,600 in an hour. With the recommended limit it is at most 30 in "
            "any minute, and the agent is told how long to wait."
        ),
        injection=(
            "Text that the agent reads can ask for a call of {tool} with arguments that suit somebody else. The "
            "result carries your name, not that of whoever wrote the text."
        ),
        theft=(
            "With a stolen token, {tool} writes in the agent's name from anywhere. If calls are not counted, the "
            "first sign is the mess."
        ),
        recommended="At most 30 calls in any minute for each grant.",
        chip="30 per minute",
    ),
    "Execute": Effect(
        short="Starts work whose effect depends on the arguments",
        meaning="A call starts work: a program, a machine or a job. Its arguments decide what that work does.",
        reason=(
            "A call starts something that goes on without the agent, and that can have effects which no name and no "
            "category describes. The arguments decide, so the rule has to look at them, not only at the tool."
        ),
        loop=(
            "Each call starts work that needs time and money after the call has returned. An agent in a loop starts "
            "the next one before the last has ended; with 10 calls in any minute there is time to notice."
        ),
        injection=(
            "This is the kind of tool that injected text aims at: whoever controls the arguments of {tool} controls "
            "what runs. The text may come from a web page, an issue, or the answer of another tool."
        ),
        theft=(
            "A stolen token is more than access to data here. Through {tool} it is a way to run something inside your "
            "systems, with the rights of the server."
        ),
        recommended="At most 10 calls in any minute for each grant.",
        chip="10 per minute",
    ),
    "Destructive": Effect(
        short="Removes something, or makes it unusable",
        meaning="A call removes something or makes it unusable.",
        reason=(
            "The effect cannot be taken back by another call, or only with luck. An agent gains little from such a "
            "tool and can lose much: most tasks never need it. So it is best not shown to the model at all."
        ),
        loop=(
            "One loop over a wrong list is enough: each call of {tool} succeeds, and the agent goes on to the next "
            "entry. No rate is slow enough to make that safe."
        ),
        injection=(
            "Text that the agent reads can call the removal a clean-up, and give good reasons for it. A model that "
            "sees {tool} in its list may believe them."
        ),
        theft=(
            "A stolen token turns {tool} into sabotage, or into a threat that you are asked to pay for. Backups that "
            "the same token reaches do not help."
        ),
        recommended="Hidden. It is not in the lists that agents see, and it is denied when it is called.",
        chip="Hidden",
    ),
    "Financial": Effect(
        short="Moves money, or makes somebody owe it",
        meaning="A call moves money, or makes somebody owe it.",
        reason=(
            "A wrong call costs money at once, and a person has to answer for it. A limit makes the loss smaller but "
            "does not make the call right. So a person looks at each call before it is made."
        ),
        loop=(
            "A time-out looks like a failure to an agent, and it pays again. Two right calls of {tool} in place of "
            "one are still a wrong payment."
        ),
        injection=(
            "An invoice, a mail or a product page can hold instructions along with an account number. To the agent, "
            "the new recipient looks like part of the task."
        ),
        theft=(
            "With a stolen token, money moves as fast as {tool} answers. An approval keeps that from happening, "
            "because no token of an agent can give one."
        ),
        recommended="A person's approval for each call.",
        chip="Approval",
    ),
    None: Effect(
        short="Not classified: its effect is not known",
        meaning="It is not classified: nobody has said yet what effect a call has.",
        reason=(
            "As long as nobody has looked at the tool, the careful assumption is that it can do harm. Rules for "
            "categories do not reach it either: a policy that hides everything Destructive does not hide this tool."
        ),
        loop=(
            "An agent that does not understand an answer calls again. The effect of one call is not known, so that of "
            "3,600 in an hour is not known either."
        ),
        injection=(
            "Text that the agent reads can ask for a call of {tool}. Nobody has judged yet what that would do, which "
            "makes it a good choice for whoever writes such text."
        ),
        theft="With a stolen token, {tool} can be called from anywhere, in the agent's name and without its task.",
        recommended="No rule. The default of the policy denies each call until somebody classifies the tool.",
        chip="Denied",
    ),
}
"""By category; None for tools that are not classified."""

RISK_MEANINGS: Final[Mapping[Risk | None, str]] = {
    "low": "A wrong call does little harm, and somebody would soon notice it.",
    "medium": "A wrong call does harm that can be repaired, with some work.",
    "high": "A wrong call does harm that is expensive or hard to repair.",
    "critical": "One wrong call can do harm that cannot be repaired.",
    None: "Nobody has said how much harm a wrong call does.",
}

RISK_NAMES: Final[Mapping[Risk | None, str]] = {
    "low": "Low risk",
    "medium": "Medium risk",
    "high": "High risk",
    "critical": "Critical risk",
    None: "Risk not known",
}

ATTRIBUTES: Final[Mapping[str, tuple[str, str]]] = {
    "private_data": ("Private data", "Reads data that is not public."),
    "untrusted_content": (
        "Content of strangers",
        "Returns content that strangers could have written, which may hold instructions for the model.",
    ),
    "sends_out": ("Sends data out", "Can send data to others, so it can carry out what another tool has read."),
    "reversible": ("Can be undone", "Its effect can be undone by an ordinary call."),
    "open_world": ("Reaches other systems", "Reaches systems beyond its own server."),
}
"""By field: a short name, and the meaning."""

HINTS: Final[Mapping[str, tuple[str, str]]] = {
    "readOnlyHint": ("changes nothing", "may change something"),
    "destructiveHint": ("may destroy something", "destroys nothing"),
    "idempotentHint": ("a repeated call has no further effect", "a repeated call may have a further effect"),
    "openWorldHint": ("reaches other systems", "stays within its own system"),
}
"""Hints that servers give, in words for true and for false."""
