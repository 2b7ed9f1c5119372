"""Locks between processes, which are held while a file or a folder is changed."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from callgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE_S: Final = 2.0
"""Longest wait for a lock: whoever may read a file may lock it, so a wait without an end would stop a start."""

_RETRY_S: Final = 0.05


@contextmanager
def locked(path: Path, refusal: str) -> Iterator[int]:
    """Holds the exclusive lock of a file or a folder; gives its descriptor.

    Args:
        path: The file or folder.
        refusal: The message of the error if another process keeps the lock.

    Raises:
        ConfigError: Another process keeps the lock.
        OSError: The file or folder cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(handle, refusal)
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int, refusal: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not _take(handle):
        if time.monotonic() >= end:
            raise ConfigError(refusal)
        time.sleep(_RETRY_S)


def _take(handle: int) -> bool:
    """Takes the lock if nobody has it; true if it was free."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
