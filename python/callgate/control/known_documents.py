"""The documents of the store that were read last, in a file of the state folder.

A start serves them before it has read the store: else the callers of grants that only the store holds would be refused
for that time, and for as long as PostgreSQL does not answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate.config.managed import KINDS, ManagedDocument
from callgate.config.state import make_state_folder
from callgate.disk import replaced
from callgate.errors import ConfigError
from callgate.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME: Final = "documents.store.json"
_FORMAT: Final = "1"


def read_known(path: Path) -> tuple[ManagedDocument, ...]:
    """The documents in the file; none without it.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            if json.loads(lines.readline()) != {"version": _FORMAT}:
                message = f"`{path}` was written by another version of callgate"
                raise ConfigError(message)
            return tuple(_documents(lines))
    except FileNotFoundError:
        return ()
    except OSError as error:
        message = f"cannot read `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None
    except (ValueError, KeyError, TypeError):
        message = f"`{path}` is damaged"
        raise ConfigError(message) from None


def write_known(path: Path, documents: Iterable[ManagedDocument]) -> None:
    """Replaces the file in one step, with mode 0600.

    Raises:
        OSError: It cannot be written.
    """
    make_state_folder(path.parent)
    with replaced(path) as file:
        file.write(json.dumps({"version": _FORMAT}) + "\n")
        for one in documents:
            file.write(json.dumps([one.kind, one.id, one.version, one.content]) + "\n")


def _documents(lines: Iterable[str]) -> Iterator[ManagedDocument]:
    for line in lines:
        kind, name, version, content = json.loads(line)
        if kind not in KINDS or not all(isinstance(text, str) for text in (name, content)):
            raise ValueError(kind)
        yield ManagedDocument(kind, name, int(version), content)
