"""Changes of configuration files: several servers of a file at once, with a copy of the file before."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate.disk import sync
from callgate.errors import ConfigError
from callgate.text import reason_of
from callgate.workbench.clients.change import UnchangeableError
from callgate.workbench.clients.entries import ClientFile, Entry, entries_of, parse_client_file
from callgate.workbench.replace import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BACKUP: Final = ".callgate-backup"
"""The end of the name of a copy."""


@dataclass(frozen=True, slots=True)
class Change:
    """A server of a file before and after."""

    before: Entry
    after: Entry


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file with its changed servers."""

    file: ClientFile
    content: bytes = field(repr=False)
    """The new contents."""
    changes: tuple[Change, ...]


def changed_files(
    entries: Sequence[Entry], change: Callable[[Entry], str]
) -> tuple[list[FileChange], list[UnchangeableError]]:
    """The files of servers with a change of each server, and the errors of servers that are left as they are.

    Args:
        entries: The servers.
        change: Gives the text of an entry's file with the entry changed.
    """
    found, errors = list[FileChange](), list[UnchangeableError]()
    for path in dict.fromkeys(entry.place.path for entry in entries):
        of_file = [entry for entry in entries if entry.place.path == path]
        first = file = of_file[0].file
        changes = list[Change]()
        for entry in of_file:
            # Places have moved with the changes before.
            current = _entry(file, entry.path)
            try:
                file = parse_client_file(file.place, file.encoded(change(current)))
            except UnchangeableError as error:
                errors.append(error)
                continue
            changes.append(Change(entry, _entry(file, entry.path)))
        if changes:
            found.append(FileChange(first, file.content, tuple(changes)))
    return found, errors


def write_change(change: FileChange) -> tuple[Path, Path]:
    """Writes a changed file; gives the file behind symbolic links, and the copy of what it contained before.

    Raises:
        ConfigError: It cannot be written, or has changed meanwhile.
    """
    path = change.file.place.path
    target = Path(os.path.realpath(path))
    backup = target.with_name(f"{target.name}{BACKUP}")
    _check_writable(target)
    _copy(target, backup, change.file.content)
    replace(path, change.file.content, change.content)
    return target, backup


def _check_writable(target: Path) -> None:
    """Refuses a file that somebody has protected: a folder that can be written would let it be replaced all the same.

    Raises:
        ConfigError: It is read-only.
    """
    try:
        is_writable = target.stat().st_mode & 0o222 and os.access(target, os.W_OK)
    except OSError as error:
        message = f"cannot write `{target}`: {reason_of(error)}"
        raise ConfigError(message) from None
    if not is_writable:
        message = f"cannot write `{target}`: it is read-only; make it writable first if that is meant"
        raise ConfigError(message)


def _copy(target: Path, backup: Path, content: bytes) -> None:
    """Writes the copy with the permissions of the file, because both may hold secrets."""
    try:
        mode = target.stat().st_mode & 0o777
        backup.unlink(missing_ok=True)
        # Exclusive: nobody else has put a link there meanwhile.
        with os.fdopen(os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync(backup.parent)
    except OSError as error:
        message = f"cannot write the copy `{backup}`: {reason_of(error)}"
        raise ConfigError(message) from None


def _entry(file: ClientFile, path: tuple[str, ...]) -> Entry:
    return next(entry for entry in entries_of(file) if entry.path == path)
