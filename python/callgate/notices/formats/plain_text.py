"""Texts of agents and servers in messages of chats: shown as they are, without links, mentions and markup.

Each format puts such a text where its application reads no markup. What is done here comes on top: applications make
links of whatever looks like an address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate.approvals.sections import pretty

if TYPE_CHECKING:
    from callgate.notices.message import Message

LONGEST_FACT: Final = 300
LONGEST_TITLE: Final = 140
LONGEST_ARGUMENTS: Final = 2_400
"""Characters of arguments that a chat shows; the page has all of them."""

_CUT: Final = "..."


def inert(text: str, longest: int = LONGEST_FACT) -> str:
    """A text that no application takes for an address, cut."""
    cut = text if len(text) <= longest else f"{text[: longest - len(_CUT)]}{_CUT}"
    # `www.` and `mailto:` are taken for addresses without two slashes.
    return cut.replace("://", "[:]//").replace("www.", "www[.]").replace("mailto:", "mailto[:]").replace("@", "[@]")


def arguments_text(message: Message) -> str | None:
    """The arguments of a message on several lines, cut; None without any."""
    if message.are_arguments_omitted:
        return "too long for a message, or deleted; see the page"
    return None if message.arguments is None else inert(pretty(message.arguments), LONGEST_ARGUMENTS)
