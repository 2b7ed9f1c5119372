"""Log lines: structured, on one line each, and never a flood."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Literal

import pytest

from callgate.control import logs
from callgate.control.logins import Logins
from callgate.identity.reports import LoginMethod, LoginOutcome, LoginReport


@pytest.fixture(autouse=True)
def untouched_logger() -> Iterator[None]:
    before = logs.LOGGER.handlers[:], logs.LOGGER.level, logs.LOGGER.propagate
    yield
    logs.LOGGER.handlers[:], logs.LOGGER.level, logs.LOGGER.propagate = before


def lines_of(log_format: Literal["json", "text"], **fields: object) -> list[str]:
    stream = io.StringIO()
    logs.configure(log_format, stream)
    logs.log("warning", "peer_refused", fields)
    return stream.getvalue().splitlines()


def test_json() -> None:
    [line] = lines_of("json", server="srv", text="two\nlines", count=3)
    document = json.loads(line)
    assert document.pop("time").endswith("Z")
    assert document == {
        "level": "warning", "event": "peer_refused", "server": "srv", "text": "two\nlines", "count": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        (3, "3"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("a\nlevel=error", r'"a\nlevel=error"'),
        ("\x1b[31m", r'"\u001b[31m"'),
        ("\u2028", r'"\u2028"'),
    ],
)
def test_text_cannot_be_forged(value: object, written: str) -> None:
    [line] = lines_of("text", tool=value)
    assert line.split(" ", 3)[1:] == ["warning", "peer_refused", f"tool={written}"]


def test_pace() -> None:
    now_s = 10.0
    stream = io.StringIO()
    logs.configure("json", stream)
    [handler] = logs.LOGGER.handlers
    handler.filters[:] = [logs.Pace(3, lambda: now_s)]
    for _ in range(10):
        logs.log("info", "denied", {"tool": "t"})
    logs.log("info", "other")
    now_s = 11.0
    logs.log("info", "denied", {"tool": "t"})
    logs.log("info", "denied", {"tool": "t"})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["denied"] * 3 + ["other"] + ["denied"] * 2
    assert [line.get("suppressed") for line in lines] == [None] * 4 + [7, None]


def test_strangers_write_few_lines() -> None:
    now_s = 10.0
    stream = io.StringIO()
    logs.configure("json", stream)
    [handler] = logs.LOGGER.handlers
    handler.filters[:] = [logs.Pace(clock=lambda: now_s)]
    logins = Logins()
    for method in LoginMethod:
        for outcome in LoginOutcome:
            for _ in range(1_000):
                logins.report(LoginReport(method, outcome, 'x" source=1', {"name": "ann"}))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [*["login_failed"] * 5, "login_slowed", *["token_refused"] * 5]
    assert lines[0]["level"] == "warning"
    assert (lines[0]["method"], lines[0]["source"], lines[0]["name"]) == ("password", 'x" source=1', "ann")
    now_s = 11.0
    logins.report(LoginReport(LoginMethod.LINK, LoginOutcome.SLOWED, "::1"))
    # Three ways to log in, of which one attempt was told.
    assert json.loads(stream.getvalue().splitlines()[-1])["suppressed"] == 2_999


def test_configuring_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("text", first)
    logs.configure("text", second)
    logs.log("error", "internal_error")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
