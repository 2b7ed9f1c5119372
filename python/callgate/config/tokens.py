"""Tokens of grants and PEPs: the present one and, while it is replaced, the one before."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from pydantic import Field

from callgate.config.fields import Instant, Section, TokenHash, format_instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.config.document import KeyPath

MOST_TOKENS: Final = 2
"""The present token, and the one that it replaces."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Token(Section):
    """One of the tokens of a grant or a PEP."""

    hash: TokenHash = Field(repr=False)
    """Keyed hash of the token."""

    until: Instant | None = None
    """End of the token (RFC 3339); from then on it is unknown. By default it has no end."""

    def has_ended(self, now: datetime) -> bool:
        """True from its end on, which is the first moment after it."""
        return self.until is not None and self.until <= now


class Tokened(Protocol):
    """A grant or a PEP: its tokens are in one of two forms."""

    @property
    def token_hash(self) -> str | None:
        """One token without an end, the short form."""

    @property
    def tokens(self) -> Sequence[Token]:
        """The long form."""


_Entry = TypeVar("_Entry", bound=Tokened)


def in_one_form(entry: _Entry) -> _Entry:
    """Refuses an entry with both forms.

    Raises:
        ValueError: It has both.
    """
    if entry.token_hash is not None and entry.tokens:
        message = "`token_hash` is short for `tokens` with one entry, and both are given; keep `tokens`"
        raise ValueError(message)
    return entry


def tokens_of(entry: Tokened) -> tuple[Token, ...]:
    """The tokens of an entry, whichever form it has."""
    if entry.token_hash is not None:
        return (Token(hash=entry.token_hash),)
    return tuple(entry.tokens)


def placed_hashes(entry: Tokened) -> Iterator[tuple[KeyPath, str]]:
    """The hashes of an entry, with their paths in it."""
    if entry.token_hash is not None:
        yield ("token_hash",), entry.token_hash
    for index, token in enumerate(entry.tokens):
        yield ("tokens", index, "hash"), token.hash


def warnings_of(entry: Tokened, now: datetime) -> Iterator[tuple[KeyPath, str]]:
    """Valid settings that are probably not meant, with their paths; each text continues a sentence about the entry."""
    for index, token in enumerate(entry.tokens):
        if token.until is not None and token.has_ended(now):
            yield ("tokens", index), f"has a token that ended at {format_instant(token.until)}; take it out"
    if len(entry.tokens) == MOST_TOKENS and all(token.until is None for token in entry.tokens):
        yield ("tokens",), "has two tokens without an end; give the old one `until`"


def token_keywords(entry: Tokened) -> dict[str, Any]:
    """The tokens as the data plane takes them."""
    if not entry.tokens:
        return {"token_hash": entry.token_hash}
    return {"tokens": [{"hash": token.hash, "until_us": unix_us(token.until)} for token in entry.tokens]}


def unix_us(instant: datetime | None) -> int | None:
    """Unix time in microseconds; the data plane knows none before 1970."""
    return None if instant is None else max(0, (instant - _EPOCH) // timedelta(microseconds=1))
