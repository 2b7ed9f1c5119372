"""Durations such as ``30s`` and sizes such as ``4MiB``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from callgate.text import quoted

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION: Final = re.compile(rf"([0-9]+)({'|'.join(_UNITS_MS)})")

_UNITS_BYTES: Final = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
_SIZE: Final = re.compile(rf"([0-9]+) ?({'|'.join(_UNITS_BYTES)})?")

_LARGEST_MS: Final = 100 * 366 * _UNITS_MS["d"]
_LARGEST_BYTES: Final = 1 << 50
_LONGEST: Final = 32
"""Longer texts are not sensible numbers, and Python converts them in more than linear time."""


def parse_duration(text: str) -> timedelta:
    """A whole number and its unit: ``ms``, ``s``, ``m``, ``h``, ``d`` or ``w``.

    Raises:
        ValueError: Anything else, or more than a hundred years.
    """
    found = _DURATION.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if found is None:
        message = f"expected a duration such as `500ms`, `30s`, `5m`, `12h` or `7d`, got {quoted(text)}"
        raise ValueError(message)
    ms = int(found[1]) * _UNITS_MS[found[2]]
    if ms > _LARGEST_MS:
        message = f"expected a duration of at most a hundred years, got {quoted(text)}"
        raise ValueError(message)
    return timedelta(milliseconds=ms)


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads as this duration, to the millisecond."""
    ms = to_ms(duration)
    unit = next((unit for unit, length in reversed(_UNITS_MS.items()) if unit != "w" and ms and ms % length == 0), "s")
    return f"{ms // _UNITS_MS[unit]}{unit}"


def to_ms(duration: timedelta) -> int:
    """Whole milliseconds."""
    return duration // timedelta(milliseconds=1)


def parse_size(text: str) -> int:
    """Bytes: a whole number, alone or with ``B``, ``kB``, ``MB``, ``GB`` (thousands), ``KiB``, ``MiB`` or ``GiB``.

    Raises:
        ValueError: Anything else, or more than a pebibyte.
    """
    found = _SIZE.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if found is None:
        message = f"expected a size such as `65536`, `512KiB` or `4MiB`, got {quoted(text)}"
        raise ValueError(message)
    size_bytes = int(found[1]) * _UNITS_BYTES[found[2] or "B"]
    if size_bytes > _LARGEST_BYTES:
        message = f"expected a size of at most {_LARGEST_BYTES >> 30}GiB, got {quoted(text)}"
        raise ValueError(message)
    return size_bytes


def format_size(size_bytes: int) -> str:
    """The shortest text in powers of 1,024 that `parse_size` reads as this size."""
    for unit in ("GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _UNITS_BYTES[unit] == 0:
            return f"{size_bytes // _UNITS_BYTES[unit]}{unit}"
    return str(size_bytes)
