"""The grants of the store that were read last, in a file of the state folder: a line for each change.

A start serves them before it has read the store, for the reason that `known_documents.py` gives. They are not in the
file of the other documents, because there may be a million, of which one changes. `ManagedGrants.read_file` describes
the lines, and reads them.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from callgate.config.state import make_state_folder
from callgate.disk import replaced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME: Final = "grants.store.jsonl"
_FORMAT: Final = "1"


@dataclass(frozen=True)
class Mark:
    """The change up to which grants were read, by which a later start recognises the store."""

    change: int
    """The number of the change."""
    id: str
    """The grant that was changed."""
    version: int
    """The version that was written."""
    made_us: int

    @staticmethod
    def read(text: str | None) -> Mark | None:
        """The mark of a file's line; None without one, or if another version of callgate wrote it."""
        try:
            return None if text is None else Mark(**json.loads(text))
        except (TypeError, ValueError):
            return None


def put_line(grant: Mapping[str, Any]) -> str:
    """The line for a grant that is there from now on, in the form of `Engine.from_config`."""
    return _line("put", grant)


def remove_line(name: str) -> str:
    """The line for a grant that is there no more."""
    return _line("remove", name)


def mark_line(mark: Mark) -> str:
    """The line for a mark."""
    return _line("mark", asdict(mark))


def write_known(path: Path, lines: Iterable[str]) -> None:
    """Replaces the file in one step, with mode 0600.

    Raises:
        OSError: It cannot be written.
    """
    make_state_folder(path.parent)
    with replaced(path) as file:
        file.write(_line("version", _FORMAT))
        file.writelines(lines)


def is_whole(path: Path) -> bool:
    """False if the last line of the file, which is there, has no end.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def append_known(path: Path, lines: Iterable[str]) -> None:
    """Adds lines to the file, which is there.

    Raises:
        OSError: They cannot be written.
    """
    with path.open("r+", encoding="utf-8") as file:
        file.seek(0, os.SEEK_END)
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


def _line(kind: str, value: object) -> str:
    return json.dumps({kind: value}) + "\n"
