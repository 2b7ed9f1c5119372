"""The files of signed logs: found, put in order, and read in blocks."""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from callgate.errors import ConfigError
from callgate.ledger.lines import FileLine, parse_file_line
from callgate.text import quoted, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

BLOCK_BYTES: Final = 1 << 20
_FIRST_LINE_BYTES: Final = 1 << 16
_ROTATED: Final = re.compile(r"\.[0-9]+(\.gz)?")
_GZIP: Final = b"\x1f\x8b"
LONGEST_LINE_BYTES: Final = 1 << 24
"""No line of callgate is nearly as long."""


@dataclass(frozen=True)
class SignedFile:
    """A file of a signed log."""

    path: Path
    first: FileLine


@dataclass(frozen=True)
class FoundLogs:
    """The signed logs of some files."""

    logs: dict[str, list[SignedFile]]
    """The files of each log, by its origin, in the order of their entries."""
    plain: list[Path]
    """Rotated files from before logs were signed."""


def find_logs(paths: Sequence[Path]) -> FoundLogs:
    """The logs of files. A path stands for that file and the rotated ones beside it, `PATH.1` and so on.

    Raises:
        ConfigError: A file cannot be read, or is no part of a signed log although an older one is.
    """
    logs: defaultdict[str, list[SignedFile]] = defaultdict(list)
    plain: list[Path] = []
    for given in paths:
        found, fault = list[SignedFile](), None
        for path in in_order(given):
            try:
                file = _signed_file(path)
            except ValueError as error:  # noqa: PERF203  each file may be none
                fault = ConfigError(f"`{path}:1`: {error}")
                # Nobody makes a signed log a plain one again.
                if found:
                    raise fault from None
                plain.append(path)
            else:
                found += [] if file is None else [file]
        if fault is not None and not found:
            raise fault
        for file in found:
            if file not in logs[file.first.origin]:
                logs[file.first.origin].append(file)
    for files in logs.values():
        files.sort(key=lambda file: file.first.index)
    return FoundLogs(dict(logs), plain)


def log_files(paths: Sequence[Path]) -> dict[str, list[SignedFile]]:
    """Works like `find_logs`, without the files that are not signed."""
    return find_logs(paths).logs


def in_order(path: Path) -> list[Path]:
    """The file of a log with the rotated ones beside it, the oldest first.

    Raises:
        ConfigError: There is none of them.
    """

    def number(file: Path) -> int:
        digits = file.name.removeprefix(path.name).removesuffix(".gz").lstrip(".")
        return int(digits) if digits.isdigit() else 0

    return sorted(with_rotated(path), key=number, reverse=True)


def with_rotated(path: Path) -> list[Path]:
    """The file of a log with the rotated ones beside it.

    Raises:
        ConfigError: There is none of them.
    """
    try:
        beside = [one for one in path.parent.iterdir() if one.name.startswith(path.name)]
    except OSError as error:
        message = f"cannot read the folder `{path.parent}`: {reason_of(error)}"
        raise ConfigError(message) from None
    found = [one for one in beside if one == path or _ROTATED.fullmatch(one.name.removeprefix(path.name))]
    if not found:
        message = f"there is no decision log {quoted(str(path))}"
        raise ConfigError(message)
    return found


def _signed_file(path: Path) -> SignedFile | None:
    """The file with its first line; None if it is empty.

    Raises:
        ValueError: It is no part of a signed log.
        ConfigError: It cannot be read.
    """
    try:
        with _opened(path) as file:
            first = file.readline(_FIRST_LINE_BYTES)
    except (OSError, EOFError) as error:
        message = f"cannot read `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None
    return SignedFile(path, parse_file_line(first.removesuffix(b"\n"))) if first else None


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    try:
        with path.open("rb") as file:
            is_packed = file.read(len(_GZIP)) == _GZIP
        opened: BinaryIO | gzip.GzipFile = gzip.GzipFile(path, "rb") if is_packed else path.open("rb")
    except OSError as error:
        message = f"cannot read `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None
    return opened


def blocks(path: Path) -> Iterator[list[bytes]]:
    """The lines of a file, without their ends, in lists of about a MiB.

    A last line without its end is a line.

    Raises:
        ConfigError: The file cannot be read, or a line is too long to be one.
    """
    rest = b""
    try:
        with _opened(path) as file:
            while block := file.read(BLOCK_BYTES):
                *lines, rest = (rest + block).split(b"\n")
                if lines:
                    yield lines
                elif len(rest) > LONGEST_LINE_BYTES:
                    message = f"`{path}`: a line of more than {LONGEST_LINE_BYTES} bytes is no line of a decision log"
                    raise ConfigError(message)
    except (OSError, EOFError) as error:
        message = f"cannot read `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None
    if rest:
        yield [rest]


def size_of(files: Iterable[SignedFile]) -> int:
    """The bytes of files, as the system counts them; 0 for those that are gone."""
    return sum(file.path.stat().st_size for file in files if file.path.exists())
