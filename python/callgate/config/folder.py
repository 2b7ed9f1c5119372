"""Folders of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.config.document import SUFFIXES, unreadable
from callgate.errors import ConfigError
from callgate.text import is_text, masked, quoted

if TYPE_CHECKING:
    from pathlib import Path


def documents_in(folder: Path) -> list[Path]:
    """The YAML and JSON files of a folder, sorted, without those whose names begin with a dot, such as an editor's.

    Raises:
        ConfigError: The folder cannot be read, or holds a file that nobody would read because of its name.
    """
    found, misnamed = documents_and_misnamed(folder)
    for message in misnamed.values():
        raise ConfigError(message)
    return found


def documents_and_misnamed(folder: Path) -> tuple[list[Path], dict[Path, str]]:
    """The same files, and the reason for each other file that would not be read because of its name.

    Raises:
        ConfigError: The folder cannot be read.
    """
    try:
        found = sorted(
            entry
            for entry in folder.iterdir()
            if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()
        )
    except OSError as error:
        raise unreadable(folder, error) from None
    misnamed: dict[Path, str] = {}
    for entry in found:
        if not is_text(entry.name):
            misnamed[entry] = f"the name of the file {quoted(entry.name)} in `{folder}` is not UTF-8; rename it"
        elif entry.suffix not in SUFFIXES:
            misnamed[entry] = (
                f"`{masked(str(entry))}` would not be read, because its suffix is not in lower case; "
                f"rename it to {quoted(entry.stem + entry.suffix.lower())}"
            )
    return [entry for entry in found if entry not in misnamed], misnamed
