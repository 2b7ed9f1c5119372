"""The issuer that a token names before anybody knows whether that is true: it says by whose keys to look."""

from __future__ import annotations

import base64
import binascii

from callgate.exact_json import read_json


def issuer_of(token: str) -> str | None:
    """The issuer that a token names; None if it names none."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004  header, claims, signature
        return None
    try:
        claims = read_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError, binascii.Error):
        return None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else None
