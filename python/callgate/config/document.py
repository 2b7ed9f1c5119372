"""YAML and JSON documents, read as policies are, with the position of each key and value."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from callgate._callgate import DocumentTree
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.units import format_size
from callgate.errors import ConfigError, PolicyError, TransientError
from callgate.text import masked, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KeyPath: TypeAlias = "tuple[str | int, ...]"
"""Keys and indexes that lead from the top of a document to a value."""

LARGEST_BYTES: Final = 64 << 20
"""Limit of one file: a hundred thousand grants take a third of it."""

SUFFIXES: Final = (".yaml", ".yml", ".json")

_OF_THE_FILE: Final = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.ENXIO,
    }
)
"""Error numbers that a file, its path or its permissions cause. Any other may be temporary, so the file is read
again."""


@dataclass(frozen=True)
class Positions:
    """A file, and the positions of its keys and values."""

    file: str
    """The name as the user gave it."""
    content: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The characters of the file, without a byte order mark."""
        return self.content.decode("utf-8-sig")

    def place(self, path: KeyPath, *, of_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at a path, or of its key; if it is absent, of its nearest ancestor."""
        return self._tree.place(path, of_key=of_key)

    @cached_property
    def _tree(self) -> DocumentTree:
        # Read again only when a fault needs it: the tree of a large file takes more memory than the file.
        return _tree(self.file, self.content)

    def fault(self, path: KeyPath, message: str, *, of_key: bool = False) -> Fault:
        """A fault of the value at a path."""
        line, column = self.place(path, of_key=of_key)
        return Fault(message, self.file, line, column, path=path)

    def path_at(self, line: int, column: int, *, of_section: bool = False) -> KeyPath:
        """The path whose key or value begins at a place, or else of the last one that begins before it.

        The value of a section begins where its first key does: `of_section` means the section, otherwise the key.
        """
        found: KeyPath = ()
        best = (0, 0)
        for path in _paths(self._tree.value(), ()):
            for of_key in (True, False):
                place = self._tree.place(path, of_key=of_key)
                is_later = place > best if of_section else place >= best
                if is_later and place <= (line, column):
                    found, best = path, place
        return found


@dataclass(frozen=True)
class Document(Positions):
    """A file that contains a mapping."""

    data: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class ListDocument(Positions):
    """A file that contains a list."""

    data: list[Any] = field(repr=False)


def read_document(path: Path) -> Document:
    """Reads a file; the suffix ``.json`` makes it JSON, every other one YAML.

    Raises:
        ConfigError: It cannot be read.
        InvalidConfigError: It is not well formed, has a key twice, or holds no mapping.
    """
    return parse_document(str(path), read_bytes(path))


def parse_document(file: str, content: bytes) -> Document:
    """Works like `read_document`, on bytes that were read before."""
    data = _value(file, content, {})
    if not isinstance(data, dict):
        raise InvalidConfigError([Fault("expected keys and values at the top of the file", file, 1, 1)])
    return Document(file, content, data)


def read_list(path: Path) -> ListDocument:
    """Works like `read_document`, on a file that contains a list.

    Raises:
        ConfigError: It cannot be read.
        InvalidConfigError: It is not well formed, has a key twice, or holds no list.
    """
    file, content = str(path), read_bytes(path)
    data = _value(file, content, [])
    if not isinstance(data, list):
        raise InvalidConfigError([Fault("expected a list at the top of the file", file, 1, 1)])
    return ListDocument(file, content, data)


def read_json(text: str) -> Any:  # noqa: ANN401  a document may hold anything
    """The value of a JSON text.

    Raises:
        ValueError: It is empty, is not JSON, or has a key twice.
    """
    try:
        tree = DocumentTree("<text>", text.encode("utf-8", "surrogateescape"), is_json=True)
    except PolicyError as error:
        raise ValueError(error.message) from None
    if tree.is_empty:
        raise ValueError("the text is empty")
    return tree.value()


def _value(file: str, content: bytes, empty: Any) -> Any:  # noqa: ANN401  as above
    """The value of a file; `empty` if it is YAML without a value, such as a file of comments."""
    tree = _tree(file, content)
    if tree.is_empty and _is_json(file):
        raise InvalidConfigError([Fault("the document is empty, expected JSON", file, 1, 1)])
    data = tree.value()
    return empty if data is None else data


def _tree(file: str, content: bytes) -> DocumentTree:
    try:
        return DocumentTree(file, content, is_json=_is_json(file))
    except PolicyError as error:
        raise InvalidConfigError([Fault(error.message, file, error.line, error.column)]) from None


def _paths(value: Any, path: KeyPath) -> Iterator[KeyPath]:  # noqa: ANN401  as above
    """Every path of a document, from the top."""
    yield path
    if isinstance(value, dict):
        members: Iterable[tuple[str | int, Any]] = value.items()
    else:
        members = enumerate(value) if isinstance(value, list) else ()
    for step, member in members:
        yield from _paths(member, (*path, step))


def _is_json(file: str) -> bool:
    return file.endswith(".json")


def read_bytes(path: Path) -> bytes:
    """The contents of a regular file. Reading a pipe or a device might never begin or end.

    Raises:
        ConfigError: It cannot be read, is no regular file, or is larger than any that callgate needs.
    """
    try:
        # Does not wait for the other end of a pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            facts = os.fstat(handle)
            if stat.S_ISDIR(facts.st_mode):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(facts.st_mode):
                raise ConfigError(special(path))
            if facts.st_size > LARGEST_BYTES:
                message = f"cannot read `{masked(str(path))}`: it is larger than {format_size(LARGEST_BYTES)}"
                raise ConfigError(message)
            with open(handle, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(handle)
    except OSError as error:
        raise unreadable(path, error) from None


def refuse_special(path: Path) -> None:
    """Refuses special files that another reader will open; a missing file or a folder is left to that reader.

    Raises:
        ConfigError: It is no regular file.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ConfigError(special(path))


def special(path: Path) -> str:
    """The message for a pipe, a device or a socket."""
    return f"cannot read `{masked(str(path))}`: it is no regular file"


def unreadable(path: Path, error: OSError) -> ConfigError:
    """The error for a file that cannot be read, with the reason; a `TransientError` if it may be temporary."""
    message = f"cannot read `{masked(str(path))}`: {reason_of(error)}"
    return TransientError(message) if is_transient(error) else ConfigError(message)


def is_transient(error: OSError) -> bool:
    """True if the system is at fault and not the file: no file descriptors left, or a disk error."""
    return error.errno not in _OF_THE_FILE
