"""Which files a configuration was read from, and what they were at that time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from callgate.config.document import read_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

Stamp: TypeAlias = "tuple[int, int, int, int, int] | None"
Fingerprint: TypeAlias = "dict[str, Stamp]"


class Files:
    """The files and folders that were looked at, also those that are not there: their changes matter."""

    def __init__(self) -> None:
        """None yet."""
        self.paths: set[Path] = set()
        self.seen: Fingerprint = {}

    def add(self, path: Path) -> None:
        """Notes a file or folder; call it before its contents are read."""
        if path not in self.paths:
            self.paths.add(path)
            self.seen.update(_stamps(path))

    def read(self, path: Path) -> bytes:
        """The contents of a file, which is noted.

        Raises:
            ConfigError: It cannot be read.
        """
        self.add(path)
        return read_bytes(path)

    def are_unchanged(self) -> bool:
        """Whether all of them still are what they were when they were noted: then all were so at one time."""
        return self.seen == fingerprint(self.paths)


def fingerprint(paths: Collection[Path]) -> Fingerprint:
    """What the files are, without their contents; a folder stands for the files in it."""
    stamps: Fingerprint = {}
    for path in paths:
        stamps.update(_stamps(path))
    return stamps


def _stamps(path: Path) -> Iterator[tuple[str, Stamp]]:
    yield str(path), _stamp(path)
    try:
        entries = list(path.iterdir())
    except (OSError, ValueError):
        # No folder, one that cannot be read, or a path that cannot be one.
        return
    yield from ((str(entry), _stamp(entry)) for entry in entries if not entry.name.startswith("."))


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
