"""The folder in which callgate keeps what outlives it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from callgate.errors import ConfigError

GRANT_KEY_NAME: Final = "grant.key"
COUNTERS_NAME: Final = "counters"
PINS_NAME: Final = "pins"


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


def counters_place(store: str | None, state: Path, *below: str) -> str:
    """What `Engine` is told: `store` as configured, else a file in the state folder, or in the folder `below` it.

    Folders are made for this user alone.

    Raises:
        ConfigError: A folder cannot be made.
    """
    if store is not None:
        return store
    folder = state
    try:
        # Each by itself: `parents` makes those above by the umask, for others to read and enter.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in below:
            folder /= name
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = (
            f"cannot make the state folder `{state}`: {reason}; name another with --state (key `state`), "
            "or use --counters memory"
        )
        raise ConfigError(message) from None
    return f"file:{folder / COUNTERS_NAME}"


def pins_folder(state: Path) -> Path:
    """Where what was accepted of servers' tools is kept."""
    return state / PINS_NAME
