"""The name of the operating system's user as whom this process runs."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress


def os_user() -> str:
    """The user's name, or its number if it has none; from the system, never from the environment."""
    user = str(os.getuid())
    # A container's user may have no name.
    with suppress(KeyError):
        user = pwd.getpwuid(os.getuid()).pw_name
    return user
