"""Approvals by people: their deadline, their bounds, and the time for which they are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from callgate.approvals.masking import check_path
from callgate.config.fields import Count, Duration, Section, Size, within

_MOST_BYTES: Final = 1 << 20


def _within_size(value: int) -> int:
    if not 1 <= value <= _MOST_BYTES:
        message = "expected `1` to `1MiB`"
        raise ValueError(message)
    return value


ArgumentPath = Annotated[str, AfterValidator(check_path)]
"""The path of an argument, as policies write it."""

_YEAR: Final = timedelta(days=365)


class Approvals(Section):
    """Approvals by people."""

    deadline: Annotated[Duration, within(timedelta(milliseconds=10), timedelta(seconds=2))] = timedelta(
        milliseconds=400
    )
    """Longest time that a call waits for the store of approvals; then it is denied, `(approval store unavailable)`."""

    keep_arguments: Annotated[Duration, within(timedelta(), 100 * _YEAR)] = timedelta(days=30)
    """Time for which the arguments of a call are kept for people."""

    keep: Annotated[Duration, within(timedelta(days=1), 100 * _YEAR)] = 2 * _YEAR
    """Time for which an approval is kept after it was asked for, with its evidence and its answers."""

    max_arguments_bytes: Annotated[Size, AfterValidator(_within_size)] = 64 << 10
    """Most bytes of a call's arguments, with the names of tool and session, that people read; more is denied."""

    mask: list[ArgumentPath] = Field(default=[])
    """Paths of arguments whose values are neither kept nor shown, such as `args.password` or `args.users[*].pin`.
    Whoever reads an approval can still find a value of few possibilities, such as a PIN, by trying each against the
    fingerprint."""

    pending_per_grant: Annotated[Count, Field(ge=1, le=10_000)] = 20
    """Highest number of approvals of one grant that wait for people; beyond it, calls are denied, `(approval
    capacity)`."""

    pending: Annotated[Count, Field(ge=1, le=100_000)] = 10_000
    """Highest number of approvals that wait for people, over all replicas that share the store."""
