"""Fields of Intercept's documents, with the types that its own reader takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from callgate.config.intercept.durations import duration
from callgate.text import nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from callgate.config.document import KeyPath


MERGE: Final = "<<"
"""The key by which YAML merges another section into its own."""

NO_MERGE: Final = "`<<` is not merged here; write the fields themselves"


class Findings(Protocol):
    """Takes findings about values, by the steps that lead to them."""

    def fault(self, steps: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Adds a fault."""

    def note(self, steps: KeyPath, message: str, *, of_key: bool = False) -> None:
        """Adds a note."""


@dataclass(frozen=True)
class Fields:
    """The fields of one section; an absent one has the value that Intercept gives it."""

    findings: Findings
    steps: KeyPath
    values: Mapping[str, Any]

    def text(self, key: str) -> str:
        """A text; a whole number counts as its text, as `version: 1` does."""
        value = self.values.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value is not None:
            self.findings.fault((*self.steps, key), f"expected text at `{key}`; put it in quotes")
        return ""

    def duration(self, key: str) -> str:
        """A duration, as callgate writes it; empty if it is absent."""
        text = self.text(key)
        try:
            return duration(text) if text else ""
        except ValueError as error:
            self.findings.fault((*self.steps, key), str(error))
            return ""

    def list(self, key: str) -> list[Any]:
        """A list."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.findings.fault((*self.steps, key), f"expected a list at `{key}`")
            return []
        return value

    def section(self, key: str) -> Mapping[str, Any] | None:
        """A section; None if it is absent."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            self.findings.fault((*self.steps, key), f"expected keys and values at `{key}`")
            return None
        return value

    def sections(self, key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The sections of a list, with their numbers."""
        for index, item in enumerate(self.list(key)):
            if isinstance(item, dict):
                yield index, item
            else:
                self.findings.fault((*self.steps, key, index), "expected keys and values")

    def check_names(
        self, known: Collection[str], where: str, *, own: Collection[str] = (), of_rules: Collection[str] = ()
    ) -> None:
        """Reports the fields that Intercept ignores: a fault where a rule may be lost, otherwise a note.

        Args:
            known: The fields that Intercept has here.
            where: The section in messages.
            own: The fields that callgate's own policies have here.
            of_rules: The fields that belong into a rule below.
        """
        for key in self.values:
            if key in known:
                continue
            path, near = (*self.steps, key), nearest(key, known)
            if key == MERGE:
                self.findings.fault(path, NO_MERGE, of_key=True)
            elif key in of_rules:
                message = f"{quoted(key)} has no effect in {where}; write it in an item of its `rules`"
                self.findings.fault(path, message, of_key=True)
            elif key in own:
                message = (
                    f"{quoted(key)} is a field of callgate's own policies, and Intercept ignores it; "
                    "write the file in one of the two formats"
                )
                self.findings.fault(path, message, of_key=True)
            elif near is not None:
                message = f"Intercept ignores {quoted(key)} in {where}; did you mean {quoted(near)}? If not, remove it"
                self.findings.fault(path, message, of_key=True)
            else:
                self.findings.note(path, f"{quoted(key)} has no effect in {where}, and is not kept", of_key=True)
