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
    try:
        found = sorted(
            entry
            for entry in folder.iterdir()
            if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()
        )
    except OSError as error:
        raise unreadable(folder, error) from None
    for entry in found:
        if not is_text(entry.name):
            message = f"the name of the file {quoted(entry.name)} in `{folder}` is not UTF-8; rename it"
            raise ConfigError(message)
        if entry.suffix not in SUFFIXES:
            message = (
                f"`{masked(str(entry))}` would not be read, because its suffix is not in lower case; "
                f"rename it to {quoted(entry.stem + entry.suffix.lower())}"
            )
            raise ConfigError(message)
    return found
