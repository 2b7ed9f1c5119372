"""The time of a test."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


class Clock:
    """A clock that changes only by `set` and `advance`."""

    def __init__(self, now: datetime | None = None) -> None:
        """Starts at `now`, which must have a time zone; at the beginning of 2026 in UTC if None."""
        self._now_us = 0
        self.set(now or datetime(2026, 1, 1, tzinfo=timezone.utc))

    @property
    def now(self) -> datetime:
        """The time in UTC."""
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=self._now_us)

    @property
    def now_ms(self) -> float:
        """Milliseconds since 1970."""
        return self._now_us / 1_000

    def set(self, now: datetime) -> None:
        """Sets it, even backwards: limits refill no earlier for that.

        Raises:
            ValueError: The time has no time zone, or lies before 1970.
        """
        if now.tzinfo is None:
            message = f"the time `{now}` has no time zone: add `tzinfo=timezone.utc`"
            raise ValueError(message)
        now_us = (now - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
        if now_us < 0:
            message = f"the time `{now}` lies before 1970"
            raise ValueError(message)
        self._now_us = now_us

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Moves it forward.

        Raises:
            ValueError: The sum is negative; use `set` to go back.
        """
        step = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if step < timedelta(0):
            message = f"cannot advance by {step}: expected a time that is not negative (`set` goes back)"
            raise ValueError(message)
        self._now_us += step // timedelta(microseconds=1)
