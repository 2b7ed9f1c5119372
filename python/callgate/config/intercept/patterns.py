"""Names of tools as patterns of callgate."""

from __future__ import annotations

import re


def pattern(name: str) -> str:
    """The pattern of a name of Intercept's, in which `*` is a wildcard and nothing else is special."""
    return re.sub(r"([\\?])", r"\\\1", name)
