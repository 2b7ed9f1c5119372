"""Receivers of notices about approvals, and the files that they name."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from callgate.config.fields import Count, Duration, FilePath, Flag, Section, Text, within
from callgate.config.grants import Owner
from callgate.store.notices.model import NoticeEvent
from callgate.text import quoted

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_URL: Final = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?(\?[^#\s]*)?")
_MOST_RECEIVERS: Final = 32
_MOST_NAMES: Final = 64
LONGEST_URL: Final = 4_096


class MessageFormat(str, Enum):
    """The form of a receiver's messages."""

    STANDARD = "standard"
    SLACK = "slack"
    TEAMS = "teams"


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        message = f"expected a name of at most 64 letters, digits, `_`, `.` and `-`, got {quoted(value)}"
        raise ValueError(message)
    return value


def receiver_url(value: str) -> str:
    """The URL of a receiver.

    Raises:
        ValueError: It is not valid; the message does not show it, because it may be a secret.
    """
    if len(value) > LONGEST_URL or not _URL.fullmatch(value):
        message = "expected a URL such as `https://hooks.example.com/callgate`, without user, password and fragment"
        raise ValueError(message)
    return value


_Patterns = Annotated[list[Text], Field(max_length=_MOST_NAMES)]


class NoticeReceiver(Section):
    """A receiver of notices."""

    format: MessageFormat = MessageFormat.STANDARD
    """Form of the messages: `standard` (Standard Webhooks, signed JSON), `slack` (an incoming webhook) or `teams` (a
    webhook of Workflows)."""

    url: Annotated[str, AfterValidator(receiver_url)] | None = Field(default=None, repr=False)
    """URL of a `standard` receiver, if it is no secret."""

    url_file: FilePath | None = None
    """File with the URL, instead of `url`. The URLs of Slack and Teams are secrets, so these need it."""

    secret_files: Annotated[list[FilePath], Field(max_length=4)] = Field(default=[])
    """Files with the secrets of a `standard` receiver, the newest first: `whsec_` and base64. Each message has a
    signature by each of them, so that the receiver can change its secret at any time."""

    ca: FilePath | None = None
    """PEM file of the authorities that are trusted in place of the system's."""

    allow_link_local: Flag = False
    """Allow connections to link-local addresses and to the metadata services of clouds."""

    timeout: Annotated[Duration, within(timedelta(milliseconds=100), timedelta(seconds=30))] = timedelta(seconds=10)
    """Longest time of one try, from the look-up of the name to the end of the reply."""

    events: Annotated[list[NoticeEvent], Field(min_length=1, max_length=16)] = Field(default=list(NoticeEvent))
    """Events that the receiver is told of; all of them by default."""

    grants: _Patterns = Field(default=[])
    """Grants whose approvals it is told of; `*` stands for any characters. All by default."""

    servers: _Patterns = Field(default=[])
    """Servers likewise."""

    approvers: _Patterns = Field(default=[])
    """Groups of approvers: it is told of approvals that ask people of one of them. All by default."""

    person: Owner | None = None
    """The one person who reads this receiver. Links in its messages work for this person alone."""

    arguments: Flag = False
    """Send the arguments of calls, without the values at the paths of `approvals.mask`."""

    reminders: Annotated[list[Annotated[Count, Field(ge=1, le=99)]], Field(max_length=8)] = Field(default=[50])
    """Percentages of the time that an approval waits, after which a reminder is sent; `[]` for none."""

    @model_validator(mode="after")
    def _one_url(self) -> NoticeReceiver:
        if (self.url is None) == (self.url_file is None):
            message = "expected either `url` or `url_file`"
            raise ValueError(message)
        if self.format is not MessageFormat.STANDARD:
            if self.url is not None:
                message = f"the URL of a `{self.format.value}` receiver is a secret: name a file of it as `url_file`"
                raise ValueError(message)
            if self.secret_files:
                message = f"`secret_files` has no effect with `format: {self.format.value}`; take it out"
                raise ValueError(message)
        elif not self.secret_files:
            message = "expected `secret_files`, by which a receiver knows that a message is callgate's"
            raise ValueError(message)
        return self


class Notices(Section):
    """Notices about approvals."""

    receivers: Annotated[
        dict[Annotated[str, AfterValidator(_name)], NoticeReceiver], Field(max_length=_MOST_RECEIVERS)
    ] = Field(default={})
    """The receivers of notices by name."""
