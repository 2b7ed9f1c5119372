"""Reports of logins and refused tokens, for the log and the metrics. They name no secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias


class LoginMethod(str, Enum):
    """The proof that was given."""

    PASSWORD = "password"  # noqa: S105  a word
    LINK = "link"
    """A one-time link."""
    ISSUER = "issuer"
    """A login at an issuer, in a browser or by `callgate login`."""
    LOGOUT = "logout"
    """A logout that an issuer asks for. Only refusals are reported."""
    SESSION = "session"
    """The token of a session. Only refusals are reported: each request has one."""
    TOKEN = "token"  # noqa: S105  a word
    """The token of a machine; likewise."""
    TOKEN_FILE = "token_file"  # noqa: S105  a word
    """The token of `admin.token_file`; likewise."""


class LoginOutcome(str, Enum):
    """The result."""

    SUCCESS = "success"
    FAILURE = "failure"
    SLOWED = "slowed"
    """The proof was not looked at, because there were too many failures or too many logins at once."""


@dataclass(frozen=True)
class LoginReport:
    """One login, or one refused token."""

    method: LoginMethod
    outcome: LoginOutcome
    source: str
    """The address that it came from, without a port."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Further facts that a log may contain: the name of a person who exists, the id of a token that has ended."""


LoginObserver: TypeAlias = Callable[[LoginReport], None]


def no_observer(_report: LoginReport) -> None:
    """Takes a report and does nothing."""
