"""Messages for an incoming webhook of Slack: Block Kit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from callgate.notices.formats.plain_text import LONGEST_TITLE, arguments_text, inert
from callgate.notices.message import facts_of

if TYPE_CHECKING:
    from callgate.notices.message import Message

_MOST_FIELDS: Final = 10
"""Fields of a section."""


def slack_body(message: Message, now_us: int) -> bytes:
    """The message as Block Kit.

    Texts of callers stand in `plain_text` and in preformatted rich text, where Slack reads no markup, and in the
    notification with its three characters of markup escaped.
    """
    title = inert(message.title, LONGEST_TITLE)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(title)}]
    fields = [_plain(f"{name}: {inert(text)}") for name, text in facts_of(message, now_us)]
    if fields:
        blocks.append({"type": "section", "fields": fields[:_MOST_FIELDS]})
    arguments = arguments_text(message)
    if arguments is not None:
        text = {"type": "text", "text": arguments}
        blocks.append({"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [text]}]})
    if message.link is not None:
        link = f"<{escaped(message.link)}|Open the approval>"
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": link, "verbatim": True}})
    document = {"text": escaped(title), "mrkdwn": False, "unfurl_links": False, "unfurl_media": False, "blocks": blocks}
    return json.dumps(document).encode()


def escaped(text: str) -> str:
    """A text without Slack's markup of links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
