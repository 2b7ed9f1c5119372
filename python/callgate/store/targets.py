"""The calls that a freeze stops. Apart from the tables, because commands name them that open no store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from callgate.text import quoted


class Scope(str, Enum):
    """The kind of calls that a freeze stops."""

    ALL = "all"
    SERVER = "server"
    GRANT = "grant"
    TOOL = "tool"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The calls that a freeze stops: everything, a server, a grant, or tools of a server."""

    server: str | None = None
    grant: str | None = None
    tool: str | None = None
    """A pattern of tools."""

    def __post_init__(self) -> None:
        """Refuses combinations that name nothing.

        Raises:
            ValueError: A grant with a server, or a tool without one.
        """
        if (self.grant is not None and self.server is not None) or (self.tool is not None and self.server is None):
            message = "expected nothing, a server, a grant, or a server and a tool"
            raise ValueError(message)

    def __str__(self) -> str:
        """The calls in a message."""
        if self.grant is not None:
            return f"calls of the grant {quoted(self.grant)}"
        if self.tool is not None:
            return f"calls of the tool {quoted(self.tool)} at the server {quoted(self.server or '')}"
        return "all calls" if self.server is None else f"calls at the server {quoted(self.server)}"

    @property
    def scope(self) -> Scope:
        """The kind of target."""
        if self.grant is not None:
            return Scope.GRANT
        if self.server is None:
            return Scope.ALL
        return Scope.SERVER if self.tool is None else Scope.TOOL

    def fields(self) -> dict[str, str]:
        """The names that the target has, by field."""
        names = {"server": self.server, "tool": self.tool, "grant": self.grant}
        return {name: value for name, value in names.items() if value is not None}

    def words(self) -> list[str]:
        """The options of commands that select these calls."""
        return [word for name, value in self.fields().items() for word in (f"--{name}", value)] or ["--all"]
