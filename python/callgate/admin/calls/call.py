"""One call of a method of the admin API."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import TypeAlias

from callgate import clock


@dataclass(frozen=True)
class Call:
    """The circumstances of a call."""

    source: str
    """The place that it came from, such as the address of the connection."""
    now_us: int = field(default_factory=clock.now_us)
    """The time at which it began, in Unix microseconds."""
    deadline_s: float | None = None
    """The end of the caller's patience, on the clock of `time.monotonic`; None if there is none."""
    ended: Event = field(default_factory=Event)
    """Set once the caller has stopped waiting for the answer; a stream then ends."""

    def is_late(self) -> bool:
        """True if the deadline is over."""
        return self.deadline_s is not None and time.monotonic() >= self.deadline_s


@dataclass(frozen=True)
class CallReport:
    """A call of a method that has ended."""

    method: str
    """Its full name: `callgate.admin.v1.PoliciesService/UpdatePolicy`."""
    principal: str
    """The name of the caller in the admin audit."""
    source: str
    began_ns: int
    """Unix time."""
    ended_ns: int
    code: str
    """The word of gRPC for the result: `OK`, `PERMISSION_DENIED`."""


CallObserver: TypeAlias = Callable[[CallReport], None]
"""Takes reports of calls; it returns soon and does not fail."""


def no_call_observer(_report: CallReport) -> None:
    """Takes no notice."""
