"""The exceptions of callgate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callgate._callgate import Decision


class CallgateError(Exception):
    """Base of all exceptions that callgate raises deliberately."""


class PolicyError(CallgateError):
    """A policy or catalogue document has a fault; shown as ``file:line:column: message``.

    Attributes:
        file: The document's name as the caller gave it; ``<policy>`` or ``<catalogue>`` for one from memory.
        line: Line of the fault, from 1.
        column: Column of the fault in characters, from 1.
        message: The fault, the expectation and the remedy.
    """

    def __init__(self, file: str, line: int, column: int, message: str) -> None:
        """Takes the place and the description of the fault."""
        super().__init__(file, line, column, message)
        self.file = file
        self.line = line
        self.column = column
        self.message = message

    def __str__(self) -> str:
        """``file:line:column: message``."""
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ConfigError(CallgateError):
    """A fault outside policy documents: of a file, an address, a socket or an option."""


class TransientError(ConfigError):
    """A `ConfigError` for a temporary reason in the system: file descriptors, memory or a disk.

    The same operation may succeed later without any change.
    """


class StoreError(CallgateError):
    """A store of counters, grants or approvals does not answer."""


class NotAllowedError(CallgateError):
    """A guarded function was called, and the policy does not allow the call; see `guard`.

    Attributes:
        decision: The decision, with its rule, and for `rate_limited` the time until its units are free.
    """

    def __init__(self, decision: Decision) -> None:
        """Takes the decision, whose message becomes the text."""
        super().__init__(decision)
        self.decision = decision

    def __str__(self) -> str:
        """The decision's message, on which a model can act."""
        return self.decision.message
