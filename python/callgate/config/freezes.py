"""The file of freezes in the state folder, which commands write and sidecars read."""

from __future__ import annotations

import json
import os
import tempfile
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import Engine, freezes_read
from callgate.config.fields import format_instant
from callgate.config.locks import locked
from callgate.config.state import make_state_folder
from callgate.disk import sync
from callgate.errors import ConfigError
from callgate.os_user import os_user
from callgate.store.targets import Target
from callgate.text import is_unseen, reason_of, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from callgate.store.freezes import Freeze as StoredFreeze

FREEZES_NAME: Final = "freeze.json"
KNOWN_NAME: Final = "freeze.store.json"
"""The freezes of the store that were read last, so that a start obeys them before it has read the store."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST: Final = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Freeze:
    """One freeze."""

    target: Target
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
            Target(server=row["server"], tool=row["tool"], grant=row["grant"]),
            row["reason"],
            None if row["until_us"] is None else instant(row["until_us"]),
            instant(row["at_us"]),
            row["by"],
        )

    @classmethod
    def of_stored(cls, stored: StoredFreeze) -> Freeze:
        """A freeze of the store."""
        until = None if stored.until_us is None else instant(stored.until_us)
        return cls(stored.target, stored.reason, until, instant(stored.made_us), stored.made_by.name)

    def has_ended(self, now: datetime) -> bool:
        """True if it stops nothing any more."""
        return self.until is not None and self.until <= now

    def fields(self) -> dict[str, str]:
        """The row of the file, without what it does not have."""
        ends = {} if self.until is None else {"until": format_instant(self.until)}
        return {
            **self.target.fields(),
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
            _write(freezes_file(state), freezes)
    except OSError as error:
        reason = reason_of(error)
        message = f"cannot write `{freezes_file(state)}`: {reason}"
        raise ConfigError(message) from None


def new_freeze(target: Target, reason: str, length: timedelta | None, now: datetime) -> Freeze:
    """A freeze by this process's user, from now on; without a length it has no end.

    Raises:
        ConfigError: It would end in the distant future, or its reason has characters that nobody sees.
    """
    # Control characters are refused by the engine, in its own words.
    hidden = next((one for one in reason if is_unseen(one) and unicodedata.category(one) != "Cc"), None)
    if hidden is not None:
        message = f"`reason`: expected a text without invisible characters, got `{visible(hidden)}`"
        raise ConfigError(message)
    if length is not None and length >= _LAST - now - timedelta(seconds=1):
        raise ConfigError("the end is too far away; leave --for out for a freeze without an end")
    until = None if length is None else now + length + timedelta(seconds=1, microseconds=-1)
    # Whole seconds, which people read; the end is rounded up.
    return Freeze(target, reason, until and until.replace(microsecond=0), now.replace(microsecond=0), os_user())


def known_file(state: Path) -> Path:
    """The file of the store's freezes in a state folder."""
    return state / KNOWN_NAME


def keep_known(path: Path, freezes: list[Freeze]) -> None:
    """Writes the freezes of the store to their file.

    Raises:
        OSError: The file cannot be written.
        ConfigError: A freeze cannot stand in it.
    """
    make_state_folder(path.parent)
    _write(path, freezes)


def check_freeze(freeze: Freeze) -> None:
    """Refuses a freeze that no sidecar would read as it is meant.

    Raises:
        ConfigError: Its names or its reason are not valid.
    """
    engine = Engine.from_dict({"version": "1", "name": "none", "default": "deny"}, counter_capacity=1)
    target = freeze.target
    engine.freeze(reason=freeze.reason, server=target.server, tool=target.tool, grant=target.grant)


def _write(path: Path, freezes: list[Freeze]) -> None:
    """Replaces the file in one step; removes it if there is no freeze."""
    state = path.parent
    if not freezes:
        path.unlink(missing_ok=True)
        sync(state)
        return
    document = {"version": "1", "freezes": [freeze.fields() for freeze in freezes]}
    # Made with mode 0600, under a name that no reader takes for the file.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=state)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
            _give_to_owner(file.fileno(), state)
            file.flush()
            os.fsync(file.fileno())
        # A file that the sidecar would refuse must not replace the one that it obeys.
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


def instant(unix_us: int) -> datetime:
    """The time of Unix microseconds; one that is too far away is the last that there is."""
    return min(_EPOCH + timedelta(microseconds=unix_us), _LAST)
