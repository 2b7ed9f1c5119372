"""The comparison of files and of folders of policies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate.config.policies import policy_files
from callgate.config.server_files import by_server
from callgate.errors import ConfigError
from callgate.text import masked, quoted
from callgate.workbench.diff.compare import compare
from callgate.workbench.rules import parse_policy, read_policy

if TYPE_CHECKING:
    from callgate.workbench.catalogue import Catalogue
    from callgate.workbench.diff.findings import Answer, Comparison
    from callgate.workbench.rules import Policy

_NOTHING: Final = b'{"version": "1", "default": "deny"}'
"""A policy that denies every call, as a server without a policy does."""


def compare_files(old: Path, new: Path, catalogue: Catalogue | None = None) -> list[Comparison]:
    """Compares two files, or the files of two folders, in which a file's stem names its server.

    Raises:
        ConfigError: One cannot be read, or one is a file and the other a folder.
        InvalidConfigError: A policy has faults; all of them are named.
    """
    if old.is_dir() != new.is_dir():
        folder, file = (old, new) if old.is_dir() else (new, old)
        message = f"`{masked(str(folder))}` is a folder and `{masked(str(file))}` is a file; give two of one kind"
        raise ConfigError(message)
    if not old.is_dir():
        return [compare(read_policy(old), read_policy(new), catalogue=catalogue)]
    known = () if catalogue is None else catalogue.servers
    ours, theirs = (by_server(_policies_in(folder), known) for folder in (old, new))
    return [
        _of_server(server, (old, ours.get(server)), (new, theirs.get(server)), catalogue)
        for server in sorted({*ours, *theirs})
    ]


def _policies_in(folder: Path) -> list[Path]:
    found = policy_files(folder)
    if not found:
        message = f"`{masked(str(folder))}` has no policies; expected files `*.json`, `*.yaml` or `*.yml`"
        raise ConfigError(message)
    return found


def _of_server(
    server: str, old: tuple[Path, Path | None], new: tuple[Path, Path | None], catalogue: Catalogue | None
) -> Comparison:
    sides = [_policy(file, folder) for folder, file in (old, new)]
    found = compare(sides[0], sides[1], catalogue=catalogue, server=server)
    for name, (folder, file) in (("old", old), ("new", new)):
        if file is None:
            found.notes.append(f"{masked(str(folder))} has no policy for the server {quoted(server)}")
            for difference in found.differences:
                answer: Answer = getattr(difference, name)
                setattr(difference, name, replace(answer, rule="(unknown server)", place=str(folder)))
            for unknown in found.unknown:
                if unknown.place.startswith(f"{folder}:"):
                    unknown.place = str(folder)
    return found


def _policy(file: Path | None, folder: Path) -> Policy:
    return read_policy(file) if file is not None else parse_policy(str(folder), _NOTHING)
