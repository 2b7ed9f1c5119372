"""The names of policy files in a folder, and the servers that they are for."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from callgate.errors import ConfigError
from callgate.text import masked, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

_LONGEST_STEM: Final = 120
"""Characters of a file's name: file systems take some 255 bytes."""


# A folder of thousands of policies asks for each file which of the catalogue's servers it is for.
@lru_cache(maxsize=1 << 14)
def stem_of(server: str) -> str:
    """The name of a server as that of a file: different servers have different ones."""
    # A server may have any name, even `..` or `a/b`.
    name = quote(server, safe="@+,=")
    if name.startswith((".", "-")):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) <= _LONGEST_STEM:
        return name
    digest = hashlib.sha256(server.encode()).hexdigest()[:16]
    return f"{name[:_LONGEST_STEM]}-{digest}"


def server_of(stem: str, known: Collection[str] = ()) -> str:
    """The server that a file's stem names: the one of that name, or the known one for which `stem_of` gives it."""
    if stem in known:
        return stem
    return next((server for server in known if stem_of(server) == stem), stem)


def by_server(files: Iterable[Path], known: Collection[str] = ()) -> dict[str, Path]:
    """The file of each server.

    Raises:
        ConfigError: Two files are for one server.
    """
    stems = {stem_of(server): server for server in known}
    found: dict[str, Path] = {}
    for file in files:
        server = file.stem if file.stem in known else stems.get(file.stem, file.stem)
        other = found.setdefault(server, file)
        if other is not file:
            message = f"`{masked(str(other))}` and `{masked(str(file))}` are both for the server {quoted(server)}"
            raise ConfigError(message)
    return found
