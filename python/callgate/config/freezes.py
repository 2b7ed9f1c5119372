"""The file of freezes in the state folder, which commands write and sidecars read."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import freezes_read
from callgate.config.fields import format_instant
from callgate.config.locks import locked
from callgate.config.state import make_state_folder
from callgate.disk import sync
from callgate.errors import ConfigError
from callgate.os_user import os_user
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FREEZES_NAME: Final = "freeze.json"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST: Final = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Selection:
    """The calls that a freeze stops: without names, all calls."""

    server: str | None = None
    tool: str | None = None
    grant: str | None = None

    def __str__(self) -> str:
        """The calls in a message."""
        if self.grant is not None:
            return f"calls of the grant {quoted(self.grant)}"
        if self.tool is not None:
            return f"calls of the tool {quoted(self.tool)} at the server {quoted(self.server or '')}"
        return "all calls" if self.server is None else f"calls at the server {quoted(self.server)}"

    def fields(self) -> dict[str, str]:
        """The names of the file's row."""
        names = {"server": self.server, "tool": self.tool, "grant": self.grant}
        return {name: value for name, value in names.items() if value is not None}

    def words(self) -> list[str]:
        """The options of commands that select them."""
        return [word for name, value in self.fields().items() for word in (f"--{name}", value)] or ["--all"]


@dataclass(frozen=True)
class Freeze:
    """One freeze."""

    selection: Selection
    reason: str
    until: datetime | None
    """Its end, if it has one."""
    at: datetime
    """The time at which it was written."""
    by: str
    """The operating system's user who wrote it."""

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Freeze:
        """A row of the engine's reader."""
        return cls(
            Selection(row["server"], row["tool"], row["grant"]),
            row["reason"],
            None if row["until_us"] is None else _instant(row["until_us"]),
            _instant(row["at_us"]),
            row["by"],
        )

    def has_ended(self, now: datetime) -> bool:
        """True if it stops nothing any more."""
        return self.until is not None and self.until <= now

    def fields(self) -> dict[str, str]:
        """The row of the file, without what it does not have."""
        ends = {} if self.until is None else {"until": format_instant(self.until)}
        return {
            **self.selection.fields(),
            "reason": self.reason,
            **ends,
            "at": format_instant(self.at),
            "by": self.by,
        }


def freezes_file(state: Path) -> Path:
    """The file in a state folder."""
    return state / FREEZES_NAME


def read_freezes(state: Path) -> list[Freeze]:
    """The freezes in a state folder, also those that have ended.

    Raises:
        ConfigError: The file cannot be read, or has a fault.
    """
    return [Freeze.of_row(row) for row in freezes_read(freezes_file(state))]


@contextmanager
def changed_freezes(state: Path, now: datetime) -> Iterator[list[Freeze]]:
    """The freezes in a state folder that have not ended; the list as the block leaves it is written back.

    Nothing is written if the block raises. Two commands at once change the file one after the other.

    Raises:
        ConfigError: The file cannot be read or written, or has a fault.
    """
    try:
        make_state_folder(state)
        with locked(state, f"another process has locked the state folder `{state}`, so no freeze is changed"):
            try:
                freezes = [freeze for freeze in read_freezes(state) if not freeze.has_ended(now)]
            except ConfigError as error:
                message = f"{error}; mend the file, or remove it, which thaws all that it freezes"
                raise ConfigError(message) from None
            yield freezes
            _write(state, freezes)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"cannot write `{freezes_file(state)}`: {reason}"
        raise ConfigError(message) from None


def new_freeze(selection: Selection, reason: str, length: timedelta | None, now: datetime) -> Freeze:
    """A freeze by this process's user, from now on; without a length it has no end.

    Raises:
        ConfigError: It would end in the distant future.
    """
    if length is not None and length >= _LAST - now - timedelta(seconds=1):
        raise ConfigError("the end is too far away; leave --for out for a freeze without an end")
    until = None if length is None else now + length + timedelta(seconds=1, microseconds=-1)
    # Whole seconds, which people read; the end is rounded up.
    return Freeze(selection, reason, until and until.replace(microsecond=0), now.replace(microsecond=0), os_user())


def _write(state: Path, freezes: list[Freeze]) -> None:
    """Replaces the file in one step; removes it if there is no freeze."""
    path = freezes_file(state)
    if not freezes:
        path.unlink(missing_ok=True)
        sync(state)
        return
    document = {"version": "1", "freezes": [freeze.fields() for freeze in freezes]}
    # Made with mode 0600, under a name that no reader takes for the file.
    handle, name = tempfile.mkstemp(prefix=f".{FREEZES_NAME}.", dir=state)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
            _give_to_owner(file.fileno(), state)
            file.flush()
            os.fsync(file.fileno())
        # What the sidecar would refuse must not replace what it obeys.
        freezes_read(name)
        Path(name).replace(path)
        sync(state)
    finally:
        Path(name).unlink(missing_ok=True)


def _give_to_owner(handle: int, state: Path) -> None:
    """Gives root's file to the owner of the state folder, as whom the sidecar reads it."""
    owner = state.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(handle, owner.st_uid, owner.st_gid)


def _instant(unix_us: int) -> datetime:
    return min(_EPOCH + timedelta(microseconds=unix_us), _LAST)
