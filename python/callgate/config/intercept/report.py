"""The findings of one conversion."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from callgate.config.intercept.written import Written
from callgate.text import quoted

if TYPE_CHECKING:
    from callgate.config.document import Document, KeyPath
    from callgate.config.faults import Fault


@dataclass
class Report:
    """Collects faults, for which a document is refused, and notes about what is not in the result."""

    source: Document
    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)

    @cached_property
    def written(self) -> Written:
        """The numbers of the source as they are written."""
        return Written(self.source)

    def fault(self, path: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Adds a fault."""
        self.faults.append(self.source.fault(path, message, of_key=of_key))

    def note(self, path: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Adds a note."""
        self.notes.append(self.source.fault(path, message, of_key=of_key))


@dataclass(frozen=True)
class RuleReport:
    """The findings about one rule; each names the rule and its tool."""

    report: Report
    path: KeyPath
    tool: str
    name: str

    @property
    def title(self) -> str:
        """The rule in messages."""
        # Without a name, its number says which one it is.
        which = quoted(self.name) if self.name else f"number {int(self.path[-1]) + 1}"
        return f"rule {which} of {quoted(self.tool)}"

    def fault(self, steps: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Adds a fault of the value that these steps lead to from the rule."""
        self.report.fault((*self.path, *steps), f"{self.title}: {message}", of_key=of_key)

    def note(self, steps: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Adds a note, as `fault` adds a fault."""
        self.report.note((*self.path, *steps), f"{self.title}: {message}", of_key=of_key)
