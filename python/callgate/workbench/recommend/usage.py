"""The use of tools, as decision logs show it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.config.faults import Fault

DEFAULT_SERVER: Final = "srv"
"""The server of a call that names none, as decisions and their log have it."""

MOST_NAMES: Final = 1_000
"""Names of one kind that are kept: callers choose them, and can make up any number."""

MOST_DAMAGED: Final = 20
"""Damaged lines that are named; the others are counted."""


@dataclass(slots=True)
class ToolUse:
    """The calls of one tool that were allowed."""

    allowed: int = 0
    peak: int = 0
    """The greatest number in any minute by one grant at one sidecar."""
    approved: int = 0
    """Calls of these that a person has approved."""
    shadowed: int = 0
    """Calls of these that full enforcement would have refused."""
    first_us: int = 0
    last_us: int = 0


@dataclass(slots=True)
class NamedCounts:
    """Counts by name, of which only so many are kept."""

    names: Counter[str] = field(default_factory=Counter)
    others: int = 0
    """Calls of further names."""

    def add(self, name: str) -> None:
        """Counts one more."""
        if name in self.names or len(self.names) < MOST_NAMES:
            self.names[name] += 1
        else:
            self.others += 1


@dataclass(slots=True)
class Usage:
    """The calls of all logs."""

    tools: dict[tuple[str, str], ToolUse] = field(default_factory=dict)
    """By server and tool: those of the catalogue that were allowed at least once."""
    refused: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    """By server and tool of the catalogue: the outcomes of the calls that were not allowed."""
    unknown_tools: dict[str, NamedCounts] = field(default_factory=dict)
    """By server of the catalogue: allowed calls of tools that the catalogue does not have."""
    unknown_servers: NamedCounts = field(default_factory=NamedCounts)
    """Calls at servers that the catalogue does not have, or that nobody asks about."""
    decisions: int = 0
    """Lines that are decisions about calls."""
    first_us: int | None = None
    last_us: int | None = None
    damaged: list[Fault] = field(default_factory=list)
    """The first lines that could not be read."""
    damaged_lines: int = 0
    peaks_are_exact: bool = True
    """False if there were too many calls in a minute to count them all."""

    def use_of(self, server: str, tool: str) -> ToolUse | None:
        """The allowed calls of a tool; None if there are none."""
        return self.tools.get((server, tool))

    def refusals_of(self, server: str, tool: str) -> Mapping[str, int]:
        """The outcomes of the calls of a tool that were not allowed, with their numbers."""
        return self.refused.get((server, tool), {})
