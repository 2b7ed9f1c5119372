"""One try of a message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from callgate.errors import CallgateError
from callgate.notices.formats.slack import slack_body
from callgate.notices.formats.standard import standard_body, standard_fields
from callgate.notices.formats.teams import teams_body
from callgate.notices.schedule import retry_after_s
from callgate.text import masked, plain_line

if TYPE_CHECKING:
    from callgate.notices.message import Message
    from callgate.notices.receiver import Receiver

_LONGEST_ERROR: Final = 300


class Reply(Enum):
    """The answer of a receiver, by what follows from it."""

    TAKEN = "taken"
    REFUSED = "refused"
    """It does not take this message; others may be taken."""
    FAILED = "failed"
    """It does not answer, or is overloaded: others would fail as well."""
    GONE = "gone"
    """It wants no messages any more."""


@dataclass(frozen=True)
class Delivery:
    """The result of a try."""

    reply: Reply
    error: str | None = None
    retry_after_s: int | None = None


def deliver(receiver: Receiver, message: Message, now_us: int) -> Delivery:
    """Sends a message once, and waits for the answer."""
    fields = [("content-type", "application/json"), ("user-agent", "callgate")]
    if receiver.format == "slack":
        body = slack_body(message, now_us)
    elif receiver.format == "teams":
        body = teams_body(message, now_us)
    else:
        body = standard_body(message)
        fields += standard_fields(message, body, receiver.secrets, now_us)
    try:
        status, retry_after, beginning = receiver.hook.post(fields, body)
    except (ConnectionError, CallgateError) as error:
        return Delivery(Reply.FAILED, masked(str(error))[:_LONGEST_ERROR])
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivery(Reply.TAKEN)
    text = masked(plain_line(beginning.decode(errors="replace")))
    said = f"status {status}{f': {text}' if text else ''}"[:_LONGEST_ERROR]
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        said = f"status {status}: redirects are not followed; configure the URL that it leads to"
    return Delivery(_reply_of(status), said, retry_after_s(retry_after))


def _reply_of(status: int) -> Reply:
    if status == HTTPStatus.GONE:
        return Reply.GONE
    is_refusal = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    overloaded = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.TOO_EARLY}
    # Who may send at all is refused for each message alike.
    unauthorised = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
    return Reply.REFUSED if is_refusal and status not in overloaded | unauthorised else Reply.FAILED
