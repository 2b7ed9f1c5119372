"""Times and durations as people and programs read them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST: Final = datetime.max.replace(tzinfo=timezone.utc)
_UNITS_S: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def instant(at_us: int) -> str:
    """A time in RFC 3339 in UTC, to the second."""
    return _at(at_us).isoformat(timespec="seconds").replace("+00:00", "Z")


def exact_instant(at_us: int | None) -> str | None:
    """A time in RFC 3339 in UTC, to the microsecond."""
    return None if at_us is None else _at(at_us).isoformat(timespec="microseconds").replace("+00:00", "Z")


def brief(length_us: int) -> str:
    """A duration, to its two largest units: `52m`, `3h 5m`, `2d`; never longer than it is, and at least `0s`."""
    left = max(length_us, 0) // 1_000_000
    parts: list[str] = []
    for unit, length_s in _UNITS_S.items():
        count, left = divmod(left, length_s)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    # Seconds beside minutes are noise.
    if len(parts) > 1 and parts[1].endswith("s"):
        parts.pop()
    return " ".join(parts[:2]) or "0s"


def exact(length_us: int) -> str:
    """A duration in all its units: `1h 30m`."""
    left = length_us // 1_000_000
    parts: list[str] = []
    for unit, length_s in _UNITS_S.items():
        count, left = divmod(left, length_s)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def _at(at_us: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=at_us)
    except OverflowError:
        return _LAST
