"""Messages for a webhook of Teams' Workflows: an Adaptive Card."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from callgate.notices.formats.plain_text import LONGEST_TITLE, arguments_text, inert
from callgate.notices.message import facts_of

if TYPE_CHECKING:
    from callgate.notices.message import Message

_CARD: Final = "application/vnd.microsoft.card.adaptive"


def teams_body(message: Message, now_us: int) -> bytes:
    """The message as an Adaptive Card.

    Texts stand in runs of rich text, where no Markdown is read: a `TextBlock` and a fact would read it.
    """
    body = [_line(_run(inert(message.title, LONGEST_TITLE), weight="Bolder", size="Large"))]
    body += [_line(_run(f"{name}: ", weight="Bolder"), _run(inert(text))) for name, text in facts_of(message, now_us)]
    arguments = arguments_text(message)
    if arguments is not None:
        body += [_line(_run(line or " ", fontType="Monospace")) for line in arguments.split("\n")]
    card: dict[str, Any] = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.4",
        "body": body,
    }
    if message.link is not None:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the approval", "url": message.link}]
    attachment = {"contentType": _CARD, "contentUrl": None, "content": card}
    return json.dumps({"type": "message", "attachments": [attachment]}).encode()


def _line(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **more: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **more}
