"""Faults of a configuration, with their places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from callgate.errors import ConfigError
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Fault:
    """One fault."""

    message: str
    file: str | None = None
    """The file that contains it; None if it came from elsewhere, which the message then names."""
    line: int = 1
    column: int = 1
    is_transient: bool = False
    """True if the system caused it and not the file, for a reason that may be temporary."""
    path: tuple[str | int, ...] | None = field(default=None, compare=False)
    """Keys and indexes that lead to the faulty value; None if no key is at fault."""

    def __str__(self) -> str:
        """``file:line:column: message``, without secrets."""
        message = masked(self.message)
        return message if self.file is None else f"{self.file}:{self.line}:{self.column}: {message}"


class InvalidConfigError(ConfigError):
    """A configuration has faults; shown as one ``file:line:column: message`` per line.

    Attributes:
        faults: All that was found, in the order of the document.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Takes one or more faults."""
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)

    @property
    def is_transient(self) -> bool:
        """True if a later read of the same files may find fewer faults."""
        return any(fault.is_transient for fault in self.faults)
