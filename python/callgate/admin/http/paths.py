"""The paths of the site. Apart from it, because the admin port needs them before the site is imported."""

from __future__ import annotations

from typing import Final

STYLE: Final = "/style.css"
OPENAPI: Final = "/openapi.json"
API: Final = "/admin/"
"""The beginning of the paths that answer programs."""

PASSKEYS: Final = "/passkeys"
PASSKEY_SCRIPT: Final = "/passkey.js"

PAGES: Final = ("/login", "/logout", "/approvals", PASSKEYS, PASSKEY_SCRIPT, STYLE, OPENAPI)
"""Paths of the site, also with a further part."""


def is_of_site(path: str) -> bool:
    """True for a path that the site answers."""
    return path == "/" or path.startswith(API) or any(path == one or path.startswith(f"{one}/") for one in PAGES)
