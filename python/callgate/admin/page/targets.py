"""Pages that a login leads to."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from callgate.admin.http.paths import PASSKEYS

HOME: Final = "/approvals"
"""The page after a login that was not asked for another one."""


def local_target(target: str) -> str:
    """A page of this port; never another site's."""
    parts = urlsplit(target)
    is_local = target.startswith((HOME, PASSKEYS)) and not parts.scheme and not parts.netloc and "\\" not in target
    return target if is_local and target.isprintable() else HOME
