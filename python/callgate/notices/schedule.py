"""The times of tries."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SECOND_US: Final = 1_000_000

MOST_TRIES: Final = 11
"""Tries after which a notice is a dead letter: 32 hours at most."""

FIRST_S: Final = 5
"""Pause after the first try of a notice; each later one is four times as long."""
_FACTOR: Final = 4
LONGEST_S: Final = 8 * 3_600

FIRST_REST_S: Final = 1
"""Pause of a receiver after a failure that is its own, before any notice is tried; each later one is twice as long."""
LONGEST_REST_S: Final = 60

LONGEST_RETRY_AFTER_S: Final = 3_600
"""Longest pause that a receiver may ask for by `Retry-After`."""


def pause_us(tries: int, random: Callable[[], float]) -> int:
    """The pause of a notice after so many tries: half of it to all of it, so that many do not come at once."""
    return int(_with_jitter(min(FIRST_S * _FACTOR ** (tries - 1), LONGEST_S), random) * _SECOND_US)


def rest_s(failures: int, asked_s: int | None, random: Callable[[], float]) -> float:
    """The pause of a receiver after so many failures in a row; `asked_s` is what it asked for."""
    own_s = _with_jitter(min(FIRST_REST_S * 2 ** min(failures - 1, 10), LONGEST_REST_S), random)
    return own_s if asked_s is None else max(own_s, min(asked_s, LONGEST_RETRY_AFTER_S))


def retry_after_s(field: str | None) -> int | None:
    """The seconds of a field `Retry-After`; None for another form, such as a date, whose clock nobody knows."""
    return int(field) if field is not None and re.fullmatch(r"[0-9]{1,9}", field.strip(), re.ASCII) else None


def _with_jitter(seconds: float, random: Callable[[], float]) -> float:
    return seconds * (0.5 + random() / 2)
