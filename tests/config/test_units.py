"""Durations and sizes: every text reads as what it says, and every value is written as a text that reads as it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.config.units import format_duration, format_size, parse_duration, parse_size

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
UNITS_BYTES = {"": 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
CENTURY_MS = 100 * 366 * UNITS_MS["d"]
PEBIBYTE = 1 << 50


@given(st.integers(0, 10**12), st.sampled_from(sorted(UNITS_MS)))
def test_durations_mean_what_they_say(count: int, unit: str) -> None:
    ms = count * UNITS_MS[unit]
    if ms > CENTURY_MS:
        with pytest.raises(ValueError, match="a hundred years"):
            parse_duration(f"{count}{unit}")
    else:
        assert parse_duration(f"{count}{unit}") == timedelta(milliseconds=ms)


@given(st.integers(0, CENTURY_MS).map(lambda ms: timedelta(milliseconds=ms)))
def test_durations_survive_writing(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(0, 10**15), st.sampled_from(sorted(UNITS_BYTES)), st.sampled_from(["", " "]))
def test_sizes_mean_what_they_say(count: int, unit: str, space: str) -> None:
    size_bytes = count * UNITS_BYTES[unit]
    text = f"{count}{space if unit else ''}{unit}"
    if size_bytes > PEBIBYTE:
        with pytest.raises(ValueError, match="at most 1048576GiB"):
            parse_size(text)
    else:
        assert parse_size(text) == size_bytes


@given(st.integers(0, PEBIBYTE))
def test_sizes_survive_writing(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@given(st.text(), st.sampled_from([parse_duration, parse_size]))
def test_any_text_is_read_or_refused(text: str, parse: Callable[[str], object]) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert str(error).startswith("expected a ")  # noqa: PT017  both ways out are fine


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1.5h", "1h30m", "1 s", "1S", "٣s", "0x1s", "1e3s", "9" * 40 + "s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5MiB", "1 0", "1mib", "1K", "1Mb", "٣", "1_000", "9" * 40])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as"):
        parse_size(text)


def test_shortest_forms() -> None:
    assert format_duration(timedelta(seconds=90)) == "90s"
    assert format_duration(timedelta(minutes=5)) == "5m"
    assert format_duration(timedelta(days=14)) == "14d"
    assert format_duration(timedelta()) == "0s"
    assert (format_size(4 << 20), format_size(1000), format_size(0)) == ("4MiB", "1000", "0")
