"""The lines of several logs in the order of their times, of which only some are in memory."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, NamedTuple

from callgate._callgate import Replay

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from callgate.workbench.log_files import Line

_NEIGHBOURS: Final = 1_024
"""Lines of one log that are put in order: decisions of the same few milliseconds may stand in another one."""
_NEIGHBOURS_BYTES: Final = 16 << 20
"""Bytes of these lines, of which a log of others may have long ones."""


class Dated(NamedTuple):
    """A line with its time, and its place among lines of the same time."""

    at_us: int
    log: int
    number: int
    line: Line


def in_order(logs: Sequence[Iterable[Line]]) -> Iterator[Line]:
    """The lines of all logs; a line without a time comes with the one before it."""
    each = [_sorted(index, lines) for index, lines in enumerate(logs)]
    return (dated.line for dated in heapq.merge(*each))


def _sorted(log: int, lines: Iterable[Line]) -> Iterator[Dated]:
    waiting: list[Dated] = []
    size, last_us = 0, 0
    for number, line in enumerate(lines):
        at_us = None if line.fault else Replay.time_us(line.content)
        # What has gone already cannot be overtaken any more.
        last_us = last_us if at_us is None else at_us
        heapq.heappush(waiting, Dated(last_us, log, number, line))
        size += len(line.content)
        while len(waiting) > _NEIGHBOURS or size > _NEIGHBOURS_BYTES:
            dated = heapq.heappop(waiting)
            size -= len(dated.line.content)
            yield dated
    while waiting:
        yield heapq.heappop(waiting)
