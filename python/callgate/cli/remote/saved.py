"""Sessions that `callgate login` has got, each in a file of its own that this user alone can read."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from callgate.disk import replaced
from callgate.errors import ConfigError
from callgate.text import masked, reason_of

_FOLDER: Final = "callgate/sessions"
_LARGEST_BYTES: Final = 65_536


@dataclass(frozen=True)
class SavedSession:
    """A session at the admin port of one address."""

    admin: str
    """The address; the token is sent nowhere else."""
    token: str = field(repr=False)
    person: str
    expires: str
    ca: str | None = None
    """The file of the authorities by which the address was verified; None for the system's."""


def sessions_folder() -> Path:
    """`$XDG_STATE_HOME/callgate/sessions`, else `~/.local/state/callgate/sessions`.

    Raises:
        ConfigError: This user has no home folder.
    """
    home = os.environ.get("XDG_STATE_HOME", "")
    # The specification requires that relative ones are ignored.
    base = Path(home) if home.startswith("/") else Path("~/.local/state")
    try:
        return base.expanduser() / _FOLDER
    except RuntimeError:
        message = "this user has no home folder to keep the session in; set XDG_STATE_HOME to a folder of yours"
        raise ConfigError(message) from None


def save(session: SavedSession) -> Path:
    """Writes a session to its file, with mode 0600; returns the file.

    Raises:
        ConfigError: It cannot be written.
    """
    path = _path(session.admin)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Another user who can write the folder could put a file of theirs in its place.
        path.parent.chmod(0o700)
        with replaced(path) as file:
            json.dump(asdict(session), file)
    except OSError as error:
        message = f"cannot keep the session in `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None
    return path


def find(admin: str) -> SavedSession | None:
    """The session at an address; None if there is none.

    Raises:
        ConfigError: Its file cannot be read, or others could read it.
    """
    path = _path(admin)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        message = f"cannot read the session in `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(file.fileno())
        if state.st_uid != os.getuid() or state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            message = f"others could read or have written `{path}`; remove it, and run `callgate login --admin {admin}`"
            raise ConfigError(message)
        found = _read(file.read(_LARGEST_BYTES))
    if found is None or found.admin != admin:
        message = f"`{path}` is no session at `{masked(admin)}`; remove it, and run `callgate login --admin {admin}`"
        raise ConfigError(message)
    return found


def forget(admin: str) -> None:
    """Removes the file of a session, if there is one.

    Raises:
        ConfigError: It cannot be removed.
    """
    path = _path(admin)
    try:
        with suppress(FileNotFoundError):
            path.unlink()
    except OSError as error:
        message = f"cannot remove the session in `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None


def _path(admin: str) -> Path:
    return sessions_folder() / f"{hashlib.sha256(admin.encode()).hexdigest()[:32]}.json"


def _read(content: bytes) -> SavedSession | None:
    try:
        document: Any = json.loads(content)
        session = SavedSession(**document)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (session.admin, session.token, session.person, session.expires)
    is_read = all(isinstance(text, str) for text in texts) and isinstance(session.ca, (str, type(None)))
    return session if is_read else None
