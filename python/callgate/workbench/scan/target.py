"""Servers to scan, and the bounds of a scan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from callgate.workbench.scan.secrets import hidden_words, secret_texts, shown_command, shown_url, without_user

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

MAX_TOOLS: Final = 4096
"""The number of tools of one server that pinning records."""
MAX_DEFINITION_BYTES: Final = 256 << 10
"""The size of a definition that pinning records."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of the listing of one server."""

    seconds: float = 60.0
    """Longest time for one server, its start included."""
    pages: int = 1000
    tools: int = MAX_TOOLS
    message_bytes: int = 16 << 20
    """Largest single message, as at the gateway (`list_limit_bytes`)."""
    total_bytes: int = 64 << 20
    """Most bytes that are read from one server."""


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A server that is reached by its URL."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Header fields of each request; they may be secrets."""
    ca: bytes | None = field(default=None, repr=False)
    """Authorities in PEM that are trusted instead of the system's."""
    variables: frozenset[str] = frozenset()
    """Names of this process's variables whose values a client's configuration sends to the server."""

    def source(self) -> dict[str, Any]:
        """The source of a catalogue's server, without secrets."""
        return {"url": shown_url(self.url)}

    def endpoint(self) -> tuple[str | None, list[str] | None]:
        """The URL and the command in the form that digests of pinned tools contain."""
        return without_user(self.url), None

    def shown(self) -> str:
        """The server as people read it, without secrets."""
        return shown_url(self.url)

    def secrets(self) -> frozenset[str]:
        """Texts that a message must not repeat."""
        return frozenset({*_with_last_words(self.headers.values()), *secret_texts(self.url, shown_url(self.url))})


@dataclass(frozen=True, slots=True)
class StdioTarget:
    """A server that is started as a program."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables beside the few that every server gets; they may be secrets."""
    folder: Path | None = None
    """The working directory."""

    def source(self) -> dict[str, Any]:
        """The source of a catalogue's server, without secrets."""
        return {"command": hidden_words(self.command)}

    def endpoint(self) -> tuple[str | None, list[str] | None]:
        """The URL and the command in the form that digests of pinned tools contain."""
        return None, list(self.command)

    def shown(self) -> str:
        """The command as people read it, without secrets."""
        return shown_command(self.command)

    def secrets(self) -> frozenset[str]:
        """Texts that a message must not repeat."""
        words = zip(self.command, hidden_words(self.command), strict=True)
        hidden = (text for word, shown in words for text in secret_texts(word, shown))
        return frozenset({*_with_last_words(self.environment.values()), *hidden})


def _with_last_words(values: Iterable[str]) -> Iterator[str]:
    """The values, and of each its last word: the token of `Bearer TOKEN`."""
    return (text for value in values for text in (value, value.rpartition(" ")[2]))


Target: TypeAlias = HttpTarget | StdioTarget
