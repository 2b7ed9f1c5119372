"""The time of this machine."""

from __future__ import annotations

import time


def now_us() -> int:
    """Unix time in whole microseconds."""
    return time.time_ns() // 1_000
