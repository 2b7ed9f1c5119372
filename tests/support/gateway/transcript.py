"""The bytes that a client sent and got, without random differences, so that two runs can be compared.

A lane is a sequence in a fixed order: a request and its answer, or a stream. Lanes run at once, in no defined order.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT_HEADERS = (
    "allow",
    "cache-control",
    "content-encoding",
    "content-type",
    "location",
    "mcp-protocol-version",
    "mcp-session-id",
    "retry-after",
    "www-authenticate",
    "x-accel-buffering",
)
"""Headers of answers that an MCP client uses."""

RANDOM = re.compile(
    r"(?P<uuid>\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b)"
    r"|(?P<hex>\b[0-9a-f]{32}\b)"
    r"|(?P<event>(?<=^id: )\S+(?=\r?$))"
    r'|(?P<state>(?<="requestState":")[^"]+)'
)
"""Values that are new in each run; equal values are replaced by equal names."""
TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)|\b\d{1,2}:\d\d:\d\d\s[AP]M")


@dataclass
class Transcript:
    """The lanes of one run."""

    lanes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    chance: dict[str, str] = field(default_factory=dict)
    """Random words of this run, with their replacements."""

    def note(self, lane: str, line: str) -> None:
        """The next line of a lane."""
        self.lanes[lane].append(line)

    def answered(self, lane: str, status: int, headers: Mapping[str, str]) -> None:
        """The head of an answer; header names in lower case."""
        self.note(lane, f"< {status}")
        for name in KEPT_HEADERS:
            if name in headers:
                # A gateway's note about the client precedes the server's own id.
                value = headers[name].rpartition("~")[2] if name == "mcp-session-id" else headers[name]
                self.note(lane, f"< {name}: {value}")

    def lines(self) -> list[str]:
        """All lines, with random words replaced by numbers in order of appearance."""
        numbers: dict[str, str] = {}

        def numbered(found: re.Match[str]) -> str:
            return numbers.setdefault(found.group(), f"<{found.lastgroup} {len(numbers) + 1}>")

        text = "\n".join(line for lane in sorted(self.lanes) for line in [f"== {lane}", *self.lanes[lane]])
        for word, shown in self.chance.items():
            text = text.replace(word, shown)
        return re.sub(RANDOM.pattern, numbered, TIMES.sub("<time>", text), flags=re.MULTILINE).split("\n")


def differences(direct: Transcript, through: Transcript) -> str:
    """The differences, line by line; empty if there are none."""
    return "\n".join(difflib.unified_diff(direct.lines(), through.lines(), "direct", "through", lineterm="", n=4))
