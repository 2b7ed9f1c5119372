"""The greatest number of calls in any minute, in memory that does not grow with the log."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_US: Final = 60_000_000

_LATENESS_US: Final = 1_000_000
"""Lines of the same few milliseconds may be in another order (docs/decision-log.md)."""

_MOST_CALLS: Final = 500_000
"""Calls of a minute that are kept: some 80 MB, for more than 8,000 allowed calls per second."""


class Rates:
    """Counts the calls of each tool and grant in a sliding minute.

    A call at a time `s` counts at every time `t` with `t - s < WINDOW_US`, as it does for limits.
    """

    def __init__(self, on_count: Callable[[tuple[str, str], int], None], *, most_calls: int = _MOST_CALLS) -> None:
        """Takes the receiver of counts: it is called with server and tool, and the calls of one grant in a minute."""
        self._on_count = on_count
        self._most_calls = most_calls
        self._early: list[tuple[int, tuple[str, str], str]] = []
        self._window: deque[tuple[int, tuple[tuple[str, str], str]]] = deque()
        self._counts: dict[tuple[tuple[str, str], str], int] = {}
        self._newest_us = 0
        self.is_exact = True
        """False once there were too many calls in a minute to keep them all."""

    def add(self, at_us: int, tool: tuple[str, str], grant: str) -> None:
        """Adds an allowed call."""
        if at_us < self._newest_us - WINDOW_US:
            # The clock was set back. Without a new beginning, all later calls would count as one minute's.
            self.finish()
        heapq.heappush(self._early, (at_us, tool, grant))
        self._newest_us = max(self._newest_us, at_us)
        self._count_until(self._newest_us - _LATENESS_US)

    def finish(self) -> None:
        """Ends a series of calls: those of the next log are another sidecar's, which counts by itself."""
        self._count_until(self._newest_us)
        self._window.clear()
        self._counts.clear()
        self._newest_us = 0

    def _count_until(self, until_us: int) -> None:
        while self._early and (self._early[0][0] <= until_us or len(self._early) > self._most_calls):
            at_us, tool, grant = heapq.heappop(self._early)
            # A clock that was set back: the call counts from the time of the one before it.
            now_us = max(at_us, self._window[-1][0]) if self._window else at_us
            while self._window and self._window[0][0] <= now_us - WINDOW_US:
                self._forget()
            if len(self._window) >= self._most_calls:
                self._forget()
                self.is_exact = False
            key = (tool, grant)
            self._window.append((now_us, key))
            count = self._counts.get(key, 0) + 1
            self._counts[key] = count
            self._on_count(tool, count)

    def _forget(self) -> None:
        _, key = self._window.popleft()
        left = self._counts[key] - 1
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]
