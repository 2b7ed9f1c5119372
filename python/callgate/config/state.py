"""The state folder, for data that outlives the process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from callgate.errors import ConfigError
from callgate.text import reason_of

GRANT_KEY_NAME: Final = "grant.key"
COUNTERS_NAME: Final = "counters"
PINS_NAME: Final = "pins"
CONTROL_NAME: Final = "control.sock"


def default_state_folder() -> Path:
    """`$XDG_STATE_HOME/callgate`, else `~/.local/state/callgate`."""
    home = os.environ.get("XDG_STATE_HOME", "")
    # The specification requires that relative ones are ignored.
    base = Path(home) if home.startswith("/") else Path("~/.local/state")
    try:
        return base.expanduser() / "callgate"
    except RuntimeError:
        # There is no home folder, as in a bare container.
        return Path("/var/lib/callgate")


def counters_place(store: str | None, state: Path, *below: str) -> str:
    """The `counters` argument of `Engine`: the configured `store`, else a file `below` the state folder."""
    return store if store is not None else f"file:{state.joinpath(*below, COUNTERS_NAME)}"


def make_counters_place(store: str | None, state: Path, *below: str) -> str:
    """Gives `counters_place`, and makes its folders for this user alone.

    Raises:
        ConfigError: A folder cannot be made.
    """
    if store is None:
        _make_folders(state, below)
    return counters_place(store, state, *below)


def _make_folders(state: Path, below: tuple[str, ...]) -> None:
    folder = state
    try:
        make_state_folder(folder)
        # One by one: `parents` creates ancestors with the umask, so that others could read and enter them.
        for name in below:
            folder /= name
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        reason = reason_of(error)
        message = (
            f"cannot make the state folder `{state}`: {reason}; name another with --state (key `state`), "
            "or use --counters memory"
        )
        raise ConfigError(message) from None


def make_state_folder(state: Path) -> None:
    """Makes the state folder for this user alone, if there is none.

    Raises:
        OSError: It cannot be made.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)


def pins_folder(state: Path) -> Path:
    """The folder of the accepted tools of servers."""
    return state / PINS_NAME
