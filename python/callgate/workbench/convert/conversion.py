"""What a conversion came to: the limits, and everything that has to be said about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from callgate.config.faults import Fault, InvalidConfigError

if TYPE_CHECKING:
    from callgate.config.document import KeyPath, Positions
    from callgate.workbench.convert.rules import RateLimits


@dataclass(frozen=True)
class Said:
    """One thing that is said of a place in a source."""

    fault: Fault
    is_left_out: bool
    """Whether a rule or a part of one is not in the result; else the result means what the source does, and this is
    only worth knowing."""

    def __str__(self) -> str:
        """``file:line:column: left out: message``, or ``note`` in place of ``left out``."""
        word = "left out" if self.is_left_out else "note"
        of = self.fault
        return str(Fault(f"{word}: {of.message}", of.file, of.line, of.column))


@dataclass
class Report:
    """Collects what is said, and what is wrong, while a file is read."""

    source: Positions
    said: list[Said] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def left_out(self, path: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Names a rule that cannot be kept, and why."""
        self.said.append(Said(self.source.fault(path, message, of_key=of_key), is_left_out=True))

    def note(self, path: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Says what changes no decision, or is true of all of them."""
        self.said.append(Said(self.source.fault(path, message, of_key=of_key), is_left_out=False))

    def fault(self, path: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Says what the program that the file is for would refuse as well, or what is written in two ways at once."""
        self.faults.append(self.source.fault(path, message, of_key=of_key))


@dataclass(frozen=True)
class Conversion:
    """The limits of each domain, and what was said about them."""

    domains: list[RateLimits]
    said: list[Said]

    @property
    def left_out(self) -> list[Said]:
        """What the domains do not have."""
        return [said for said in self.said if said.is_left_out]


def finish(reports: list[Report], domains: list[RateLimits]) -> Conversion:
    """Puts the parts together.

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
