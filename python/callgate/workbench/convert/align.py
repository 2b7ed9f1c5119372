"""Units of limits, and the windows of each."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Align(str, Enum):
    """The alignment of windows."""

    CALENDAR = "calendar"
    """Windows begin at multiples of their length since 1970-01-01 00:00 UTC: days at midnight, weeks on Thursdays."""
    SLIDING = "sliding"
    """Windows begin at any time: no interval of the window's length admits more than the limit."""


UNIT_SECONDS: Final = {
    "second": 1,
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 30 * 86_400,
    "year": 365 * 86_400,
}
"""Lengths of windows, the same in callgate's files and in envoyproxy/ratelimit's."""
