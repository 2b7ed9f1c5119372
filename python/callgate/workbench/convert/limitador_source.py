"""The contents of limitador's limits file, with the faults for which that program would refuse it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from callgate.config.document import read_list
from callgate.text import did_you_mean, quoted
from callgate.workbench.convert.conversion import Report

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.config.document import KeyPath

_KEYS: Final = ("namespace", "max_value", "seconds", "conditions", "variables", "name", "id")
_LARGEST: Final = 2**64 - 1


@dataclass(frozen=True)
class Limit:
    """A limit at `path`."""

    report: Report
    path: KeyPath
    namespace: str
    max_value: int
    seconds: int
    conditions: tuple[str, ...]
    variables: tuple[str, ...]
    name: str

    @property
    def title(self) -> str:
        """The limit's name for messages."""
        number = f"limit {self.number}"
        return f"{number}, {quoted(self.name)}" if self.name else number

    @property
    def number(self) -> int:
        """Its number in the file, from 1."""
        return int(self.path[0]) + 1

    @property
    def line(self) -> str:
        """The file and line of its beginning."""
        place = self.report.source.fault(self.path, "")
        return f"{place.file}:{place.line}"


def read_limits(path: Path) -> tuple[Report, list[Limit]]:
    """Reads a file; its faults are in its report.

    Raises:
        ConfigError: It cannot be read.
        InvalidConfigError: It is not well formed.
    """
    document = read_list(path)
    report = Report(document)
    limits = []
    for index, item in enumerate(document.data):
        if isinstance(item, dict):
            limits.append(_limit(_Fields(report, (index,), item)))
        else:
            report.fault((index,), "expected keys and values")
    return report, limits


@dataclass(frozen=True)
class _Fields:
    """Keys and values of a limit. Types are strict: limitador refuses a number in place of a name."""

    report: Report
    path: KeyPath
    values: dict[str, Any]

    def fault(self, key: str, message: str) -> None:
        self.report.fault((*self.path, key), message)

    def text(self, key: str, *, is_required: bool) -> str:
        value = self.values.get(key)
        if isinstance(value, str):
            return value
        if value is not None:
            self.fault(key, "expected text; put it in quotes")
        elif is_required:
            self.fault(key, f"expected the key `{key}` with text")
        return ""

    def count(self, key: str, *, is_required: bool) -> int:
        value = self.values.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
            return value
        if value is not None or key in self.values:
            self.fault(key, f"expected a whole number from 0 to {_LARGEST}, without quotes")
        elif is_required:
            self.fault(key, f"expected the key `{key}` with a whole number")
        return 0

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key)
        if key not in self.values:
            self.fault(key, f"expected the key `{key}` with a list; `[]` is an empty one")
            return ()
        if value is not None and not isinstance(value, list):
            self.fault(key, "expected a list")
            return ()
        for index, item in enumerate(value or []):
            if not isinstance(item, str):
                self.report.fault((*self.path, key, index), "expected text; put it in quotes")
        return tuple(item for item in value or [] if isinstance(item, str))


def _limit(fields: _Fields) -> Limit:
    for key in fields.values:
        if key not in _KEYS:
            # limitador ignores it, which is seldom intended.
            hint = did_you_mean(key, _KEYS)
            hint = hint if "did you mean" in hint else ""
            fields.report.note((*fields.path, key), f"{quoted(key)} has no effect, and is not kept{hint}", of_key=True)
    if "max_value" not in fields.values:
        fields.report.note(fields.path, "without `max_value` the limit is 0, and all is refused")
    if fields.text("id", is_required=False):
        message = "`id` is a name for limitador's own interface, and is not kept"
        fields.report.note((*fields.path, "id"), message, of_key=True)
    return Limit(
        report=fields.report,
        path=fields.path,
        namespace=fields.text("namespace", is_required=True),
        max_value=fields.count("max_value", is_required=False),
        seconds=fields.count("seconds", is_required=True),
        conditions=fields.texts("conditions"),
        variables=fields.texts("variables"),
        name=fields.text("name", is_required=False),
    )
