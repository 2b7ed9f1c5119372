"""Tokens of machines, sessions and one-time links: 256 random bits behind a prefix that says which."""

from __future__ import annotations

import hashlib
import re
import secrets
from enum import Enum
from typing import Final

from callgate.store.ids import ID_BYTES, make_id

_BYTES: Final = 32
_BODY: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Prefix(str, Enum):
    """The beginning of a token, by which people and scanners of repositories recognise it."""

    MACHINE = "cga_"
    SESSION = "cgs_"
    LINK = "cgl_"


def new_secret(prefix: Prefix) -> str:
    """A new token."""
    return prefix.value + secrets.token_urlsafe(_BYTES)


def secret_hash(prefix: Prefix, text: str) -> str | None:
    """The SHA-256 by which the store finds a token, as hex digits; None for a text that is no such token.

    The store compares digests, not in constant time. That tells nothing: who learns a digest, whole, does not know the
    256 random bits behind it. For the same reason the hash needs neither salt nor work.
    """
    if not text.startswith(prefix.value) or not _BODY.fullmatch(text, len(prefix.value)):
        return None
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def new_id() -> str:
    """A new id that is no secret."""
    return make_id(secrets.token_bytes(ID_BYTES))
