"""The folder in which callgate keeps what outlives it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

GRANT_KEY_NAME: Final = "grant.key"
COUNTERS_NAME: Final = "counters"


def default_state_folder() -> Path:
    """`$XDG_STATE_HOME/callgate`, else `~/.local/state/callgate`."""
    home = os.environ.get("XDG_STATE_HOME", "")
    # The specification has relative ones ignored.
    base = Path(home) if home.startswith("/") else Path("~/.local/state")
    try:
        return base.expanduser() / "callgate"
    except RuntimeError:
        # Nobody's home is known, as in a bare container.
        return Path("/var/lib/callgate")
