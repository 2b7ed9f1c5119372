"""The lines of a decision log: its file and the older ones that rotation has left, compressed or not."""

from __future__ import annotations

import errno
import gzip
import os
import re
import stat
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple, cast

from callgate.config.document import special, unreadable
from callgate.config.faults import Fault
from callgate.errors import ConfigError
from callgate.text import masked, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_FILES: Final = 500
"""Files of one log, which are all open at the same time."""

_LONGEST_LINE: Final = 1 << 20
"""Bytes of a line: more than a hundred times as long as the longest that callgate writes."""

_OLDER: Final = re.compile(r"(.+)\.[0-9]+(\.gz)?")
"""The name of an older file: that of the log, and a number."""


class Line(NamedTuple):
    """One line of a log."""

    file: str
    number: int
    content: bytes
    """Without its end."""
    is_finished: bool
    """False if the file ends within it."""
    fault: str = ""
    """The reason for which it cannot be read; empty for none."""

    def damaged(self, message: str) -> Fault:
        """A fault at the place of the line."""
        return Fault(message, self.file, self.number, 1)


def logs_of(paths: Sequence[Path]) -> list[list[Path]]:
    """The files of each log, the oldest first.

    Raises:
        ConfigError: One of the paths is a folder.
    """
    named = {Path(os.path.realpath(path)): path for path in reversed(paths)}
    logs = []
    for real, path in reversed(named.items()):
        if path.is_dir():
            message = f"cannot read `{masked(str(path))}`: it is a folder; name the file of a decision log"
            raise ConfigError(message)
        older = _OLDER.fullmatch(real.name)
        # An older file of another log that is named as well is read with that log.
        if older is None or real.with_name(older[1]) not in named:
            # Rotation renames the file that a link leads to.
            logs.append([*reversed(list(_older(real if path.is_symlink() else path))), path])
    return logs


def lines_of(files: Sequence[Path]) -> Iterator[Line]:
    """The lines of one log; of each line no more than `_LONGEST_LINE` bytes are in memory.

    Raises:
        ConfigError: A file cannot be read.
    """
    with ExitStack() as stack:
        opened: list[tuple[Path, IO[bytes]]] = []
        known = set[tuple[int, int]]()
        # The newest first: a rotation in the meantime then shows a file twice, and hides none.
        for path in reversed(files):
            try:
                handle = stack.enter_context(_opened(path))
            except FileNotFoundError as error:
                if path == files[-1]:
                    raise unreadable(path, error) from None
                continue
            except OSError as error:
                raise unreadable(path, error) from None
            facts = os.fstat(handle.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise ConfigError(special(path))
            if (facts.st_dev, facts.st_ino) not in known:
                known.add((facts.st_dev, facts.st_ino))
                opened.append((path, handle))
        for path, handle in reversed(opened):
            yield from _lines(path, handle)


def lines_of_stream(name: str, stream: IO[bytes]) -> Iterator[Line]:
    """The lines of a stream, such as standard input; `name` stands in messages in the place of a file.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        yield from _lines_from(name, stream)
    except OSError as error:
        raise unreadable(Path(name), error) from None


def _older(path: Path) -> Iterator[Path]:
    """The files that rotation has left, the newest first."""
    for number in range(1, _MOST_FILES):
        plain = path.with_name(f"{path.name}.{number}")
        packed = path.with_name(f"{path.name}.{number}.gz")
        found = next((one for one in (plain, packed) if one.exists()), None)
        if found is None:
            return
        yield found


def _opened(path: Path) -> IO[bytes]:
    # Does not wait for the other end of a pipe.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return open(handle, "rb", buffering=1 << 20)  # noqa: PTH123  a handle


def _lines(path: Path, handle: IO[bytes]) -> Iterator[Line]:
    source = cast("IO[bytes]", gzip.GzipFile(fileobj=handle)) if path.suffix == ".gz" else handle
    try:
        yield from _lines_from(masked(str(path)), source)
    except OSError as error:
        raise unreadable(path, error) from None


def _lines_from(file: str, source: IO[bytes]) -> Iterator[Line]:
    number = 0
    try:
        while content := source.readline(_LONGEST_LINE):
            number += 1
            if content.endswith(b"\n"):
                yield Line(file, number, content[:-1], is_finished=True)
            elif len(content) < _LONGEST_LINE:
                yield Line(file, number, content, is_finished=False)
            else:
                _skip_line(source)
                yield Line(file, number, b"", is_finished=True, fault=f"longer than {_LONGEST_LINE >> 20} MiB")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield Line(file, number + 1, b"", is_finished=False, fault=f"the compressed file is damaged: {error}")
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        yield Line(file, number + 1, b"", is_finished=False, fault=f"cannot be read: {reason_of(error)}")


def _skip_line(source: IO[bytes]) -> None:
    while (rest := source.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass
