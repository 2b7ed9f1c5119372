"""Durations of Go."""

from __future__ import annotations

import pytest

from callgate.config.intercept.durations import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", "1800s"),
        ("1h30m", "5400s"),
        ("1.5h", "5400s"),
        ("90s", "90s"),
        ("1500ms", "1500ms"),
        ("+1s", "1s"),
        ("1m.5s", "60500ms"),
        ("1000000us", "1s"),
        ("999999µs1us", "1s"),
        ("720h", "2592000s"),
    ],
)
def test_duration(text: str, seconds: str) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "-5m", "1h30", "1d", "0", "999ms", "720h1s", "1s1ns", "1" * 200])
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a duration "):
        duration(text)
