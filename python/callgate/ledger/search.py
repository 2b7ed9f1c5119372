"""A search through signed and plain decision logs, line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from callgate.ledger.files import blocks
from callgate.ledger.lines import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

DECISION: Final = "decision"
"""The kind of a line that has none."""

FIELDS: Final = (
    "server",
    "grant",
    "session",
    "tool",
    "outcome",
    "rule",
    "policy",
    "approval",
    "fingerprint",
    "protocol",
)
"""Fields of decisions by whose exact values lines are found."""


@dataclass(frozen=True)
class Query:
    """The lines that are wanted."""

    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By field, the values of which a line has to have one."""
    kinds: frozenset[str] = frozenset({DECISION, Kind.ADMIN.value})
    since: datetime | None = None
    until: datetime | None = None
    """The end, which is not included."""
    actor: frozenset[str] = frozenset()
    """The authors of admin changes; empty for any."""
    trace: str | None = None
    """The trace id in `traceparent`."""

    def takes(self, line: Mapping[str, Any]) -> bool:
        """True for a line that is wanted."""
        kind = line.get("kind", DECISION)
        if kind not in self.kinds:
            return False
        if any(line.get(name, "") not in wanted for name, wanted in self.values.items()):
            return False
        if self.actor and line.get("actor") not in self.actor:
            return False
        if self.trace is not None and self.trace not in str(line.get("traceparent", "")).split("-")[1:2]:
            return False
        if self.since is None and self.until is None:
            return True
        at = moment_of(line)
        return at is not None and (self.since is None or at >= self.since) and (self.until is None or at < self.until)


@dataclass(frozen=True)
class Found:
    """A line that was found."""

    file: Path
    line: int
    content: bytes
    fields: dict[str, Any]


def search(files: Sequence[Path], query: Query) -> Iterator[Found]:
    """The lines that are wanted, in the order of the files. Lines that are no JSON objects are left out.

    Raises:
        ConfigError: A file cannot be read.
    """
    # A value that needs no escape stands in the line as it is: most lines are not parsed.
    needles = [
        [json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass") for value in wanted]
        for wanted in query.values.values()
    ]
    for file in files:
        number = 0
        for lines in blocks(file):
            for content in lines:
                number += 1
                if not all(any(needle in content for needle in wanted) for wanted in needles):
                    continue
                fields = _fields(content)
                if fields is not None and query.takes(fields):
                    yield Found(file, number, content, fields)


def moment_of(line: Mapping[str, Any]) -> datetime | None:
    """The time of a line; None if it has none."""
    try:
        return datetime.fromisoformat(str(line.get("time", "")).replace("Z", "+00:00")).astimezone(timezone.utc)
    except ValueError:
        return None


def _fields(content: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None
