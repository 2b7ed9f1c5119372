"""The files of a configuration, and their state when they were read."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from callgate.config.document import read_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

Stamp: TypeAlias = "tuple[int, int, int, int, int] | None"
Fingerprint: TypeAlias = "dict[str, Stamp]"


class Files:
    """The files and folders that were examined, including missing ones, because their changes matter."""

    def __init__(self) -> None:
        """An empty record."""
        self.paths: set[Path] = set()
        self.seen: Fingerprint = {}

    def add(self, path: Path) -> None:
        """Records a file or folder; to be called before its contents are read."""
        if path not in self.paths:
            self.paths.add(path)
            self.seen.update(_stamps(path))

    def read(self, path: Path) -> bytes:
        """The contents of a file, which is recorded.

        Raises:
            ConfigError: It cannot be read.
        """
        self.add(path)
        return read_bytes(path)

    def are_unchanged(self) -> bool:
        """True if all of them are still unchanged since they were recorded, so that they form one consistent state."""
        return self.seen == fingerprint(self.paths)


def fingerprint(paths: Collection[Path]) -> Fingerprint:
    """The state of the files without their contents; a folder stands for the files in it."""
    stamps: Fingerprint = {}
    for path in paths:
        stamps.update(_stamps(path))
    return stamps


def _stamps(path: Path) -> Iterator[tuple[str, Stamp]]:
    yield str(path), _stamp(path)
    try:
        entries = list(path.iterdir())
    except (OSError, ValueError):
        # Not a folder, an unreadable folder, or an impossible path.
        return
    yield from ((str(entry), _stamp(entry)) for entry in entries if not entry.name.startswith("."))


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
