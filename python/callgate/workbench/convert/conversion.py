"""The result of a conversion: the limits, and the findings about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from callgate.config.faults import Fault, InvalidConfigError

if TYPE_CHECKING:
    from callgate.config.document import KeyPath, Positions
    from callgate.workbench.convert.rules import RateLimits


@dataclass(frozen=True)
class Said:
    """One finding about a place in a source."""

    fault: Fault
    is_left_out: bool
    """True if a rule or a part of one is missing from the result. Otherwise the result has the meaning of the source,
    and this is only a note."""

    def __str__(self) -> str:
        """``file:line:column: left out: message``, or ``note`` in place of ``left out``."""
        word = "left out" if self.is_left_out else "note"
        of = self.fault
        return str(Fault(f"{word}: {of.message}", of.file, of.line, of.column))


@dataclass
class Report:
    """Collects findings and faults while a file is read."""

    source: Positions
    said: list[Said] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def left_out(self, path: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Adds a rule that cannot be kept, with the reason."""
        self.said.append(Said(self.source.fault(path, message, of_key=of_key), is_left_out=True))

    def note(self, path: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Adds a note about a difference that changes no decision, or applies to all of them."""
        self.said.append(Said(self.source.fault(path, message, of_key=of_key), is_left_out=False))

    def fault(self, path: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Adds a fault for which the file's own program would refuse it too, or a contradiction in the file."""
        self.faults.append(self.source.fault(path, message, of_key=of_key))


@dataclass(frozen=True)
class Conversion:
    """The limits of each domain, and the findings about them."""

    domains: list[RateLimits]
    said: list[Said]

    @property
    def left_out(self) -> list[Said]:
        """The findings about rules that the result lacks."""
        return [said for said in self.said if said.is_left_out]


def finish(reports: list[Report], domains: list[RateLimits]) -> Conversion:
    """Combines the parts.

    Raises:
        InvalidConfigError: A file has faults.
    """
    faults = [fault for report in reports for fault in sorted(report.faults, key=_place)]
    if faults:
        raise InvalidConfigError(faults)
    said = [said for report in reports for said in sorted(report.said, key=lambda said: _place(said.fault))]
    return Conversion(domains, said)


def _place(fault: Fault) -> tuple[int, int]:
    return fault.line, fault.column
