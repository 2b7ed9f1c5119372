"""Other spellings of paths, URLs and words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from callgate.workbench.rules import Comparison

_OF_URLS: Final = re.compile(r"url|uri|href|link|endpoint|webhook|callback", re.IGNORECASE)
_HOST: Final = re.compile(r"\.?[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.IGNORECASE)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)


def outside(one: Comparison) -> tuple[str, ...]:
    """Values that lie outside of what a requirement seems to mean, and that may pass it."""
    text = one.value
    if not isinstance(text, str) or not one.path.is_of_arguments or not text:
        return ()
    if one.op == "starts_with" and text.startswith("/"):
        return (f"{text.rstrip('/')}/../../../../../../etc/passwd", f"{text}/../../../../../../etc/passwd")
    found = _URL.match(text)
    if one.op == "starts_with" and found is not None:
        # A host that is not followed by a slash may go on.
        return (f"{text}.example.net/", f"{text}@example.net/") if found.end() == len(text) else ()
    is_host = _HOST.fullmatch(text) is not None and _OF_URLS.search(_last_key(one)) is not None
    if one.op in ("contains", "ends_with") and (found is not None or is_host):
        return (f"https://example.net/?{text}", f"https://example.net/{text}")
    if one.op == "contains" and text.startswith("/"):
        return (f"/etc{text.rstrip('/')}/../passwd", f"{text}/../../../../../../etc/passwd")
    return ()


def respelled(one: Comparison, value: str) -> tuple[str, ...]:
    """Other spellings of a path or a URL that a denial holds for."""
    texts = one.value if isinstance(one.value, list) else [one.value]
    if any(isinstance(text, str) and text.startswith("/") for text in texts) and value.startswith("/"):
        return (f"/tmp/..{value}", f"/.{value}")  # noqa: S108  a path of an example
    if _URL.match(value):
        scheme, _, rest = value.partition("://")
        return (f"{scheme.upper()}://{rest}", f"{scheme}://{rest.upper()}")
    return ()


def other_case(value: str) -> str:
    """The value in upper case; in lower case if it is in upper case already."""
    return value.upper() if value.upper() != value else value.lower()


def _last_key(one: Comparison) -> str:
    return str(one.path.keys[-1][1]) if one.path.keys else ""
