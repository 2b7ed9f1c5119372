"""Durations as Go writes them, such as `1h30m`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_SECONDS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_PART: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(ns|us|µs|μs|ms|s|m|h)")
_LEAST, _MOST = Decimal(1), Decimal(30 * 86_400)


def duration(text: str) -> str:
    """The same duration as callgate writes it.

    Raises:
        ValueError: It is no duration, is outside the bounds of an approval's, or has parts of a millisecond.
    """
    parts = _PART.findall(text.removeprefix("+")) if len(text) <= 100 else []  # noqa: PLR2004  every real one is shorter
    if not parts or "".join(number + unit for number, unit in parts) != text.removeprefix("+"):
        raise ValueError("expected a duration such as `30m`")
    seconds = sum((Decimal(number) * _SECONDS[unit] for number, unit in parts), Decimal(0))
    if not _LEAST <= seconds <= _MOST:
        raise ValueError("expected a duration from 1 s to 720 h")
    if seconds == seconds.to_integral_value():
        return f"{int(seconds)}s"
    milliseconds = seconds * 1000
    if milliseconds != milliseconds.to_integral_value():
        raise ValueError("expected a duration of whole milliseconds")
    return f"{int(milliseconds)}ms"
