"""The exceptions of callgate."""


class CallgateError(Exception):
    """Base of every exception that callgate raises on purpose."""


class PolicyError(CallgateError):
    """A policy or catalogue document has a fault; shown as ``file:line:column: message``.

    Attributes:
        file: The document, as the caller named it; ``<policy>`` or ``<catalogue>`` for one from memory.
        line: Line of the fault, from 1.
        column: Column of the fault in characters, from 1.
        message: What is wrong, what was expected, and what to do.
    """

    def __init__(self, file: str, line: int, column: int, message: str) -> None:
        """Takes the place of the fault and what is wrong there."""
        super().__init__(file, line, column, message)
        self.file = file
        self.line = line
        self.column = column
        self.message = message

    def __str__(self) -> str:
        """``file:line:column: message``."""
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ConfigError(CallgateError):
    """Something outside a policy document is not as it must be: a file, an address, a socket, an option."""


class TransientError(ConfigError):
    """As `ConfigError`, where the system refused something for a reason that passes: file descriptors, memory, a disk.

    The same may succeed later, without a change of anybody's.
    """


class StoreError(CallgateError):
    """A store of counters, grants or approvals does not answer."""
