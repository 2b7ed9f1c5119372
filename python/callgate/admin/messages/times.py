"""Times and durations of messages, from and to microseconds."""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from callgate.admin.calls.errors import invalid

SECOND_US: Final = 1_000_000
_NANOS: Final = 1_000
_LAST_US: Final = 253_402_300_799 * SECOND_US
"""The last second of the year 9999, where the times of messages end."""


def timestamp(at_us: int | None) -> Timestamp | None:
    """The message of a time; None for none."""
    if at_us is None:
        return None
    seconds, micros = divmod(min(max(at_us, 0), _LAST_US), SECOND_US)
    return Timestamp(seconds=seconds, nanos=micros * _NANOS)


def duration(length_us: int) -> Duration:
    """The message of a duration."""
    seconds, micros = divmod(length_us, SECOND_US)
    return Duration(seconds=seconds, nanos=micros * _NANOS)


def unix_us(field: str, time: Timestamp) -> int:
    """The time of a message, rounded up to microseconds.

    Raises:
        AdminError: INVALID_ARGUMENT for a time before 1970 or beyond the year 9999.
    """
    at_us = time.seconds * SECOND_US + -(-time.nanos // _NANOS)
    if not 0 <= at_us <= _LAST_US or not 0 <= time.nanos < SECOND_US * _NANOS:
        raise invalid(field, "expected a time between the years 1970 and 9999")
    return at_us


def length_us(field: str, length: Duration) -> int:
    """The duration of a message, rounded up to microseconds.

    Raises:
        AdminError: INVALID_ARGUMENT for a negative one, or one of more than a thousand years.
    """
    micros = length.seconds * SECOND_US + -(-length.nanos // _NANOS)
    if micros < 0 or length.nanos < 0 or micros > _LAST_US // 8:
        raise invalid(field, "expected a duration that is not negative, and shorter than a thousand years")
    return micros
