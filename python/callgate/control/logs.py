"""Structured logs on stderr: one line per event, as text or JSON, at a limited rate."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class Stream(Protocol):
        """The stream that a handler writes to."""

        def write(self, text: str, /) -> object:
            """Takes a line."""

        def flush(self) -> None:
            """Flushes; a handler calls it after every line."""

    LogFormat: TypeAlias = Literal["json", "text"]

LOGGER: Final = logging.getLogger("callgate")

PER_SECOND: Final = 100
"""Lines of one event within one second; further ones are counted and reported in the next second's first line."""

LOGIN_FAILED: Final = "login_failed"
LOGIN_SLOWED: Final = "login_slowed"
LOGIN_WITHOUT_GROUPS: Final = "login_without_groups"
TOKEN_REFUSED: Final = "token_refused"  # noqa: S105  the name of an event

SELDOM: Final = {LOGIN_FAILED: 5, LOGIN_SLOWED: 1, LOGIN_WITHOUT_GROUPS: 5, TOKEN_REFUSED: 5}
"""The lines of events that strangers cause, likewise: who guesses for days must not fill the disk."""

_LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def log(level: str, event: str, fields: Mapping[str, object] | None = None) -> None:
    """Logs one event: `level` is ``info``, ``warning`` or ``error``, `event` one word, `fields` its details."""
    LOGGER.log(_LEVELS[level], event, extra={"fields": dict(fields or {})})


def configure(log_format: LogFormat, stream: Stream | None = None) -> None:
    """Sends callgate's events to `stream` (stderr if None) in this format, in place of the stream before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    handler.addFilter(Pace())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


class Pace(logging.Filter):
    """A filter that limits the lines of one event per second."""

    def __init__(self, per_second: int = PER_SECOND, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes the limit and a clock in seconds."""
        super().__init__()
        self._per_second = per_second
        self._clock = clock
        self._second = 0
        self._lines: dict[str, int] = {}
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True if the line is to be written; a handler calls it under its lock."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._lines.clear()
        event = record.msg
        written = self._lines.get(event, 0)
        if written >= min(SELDOM.get(event, self._per_second), self._per_second):
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return False
        self._lines[event] = written + 1
        if left_out := self._left_out.pop(event, 0):
            record.__dict__["fields"] = {**_fields(record), "suppressed": left_out}
        return True


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = record.__dict__.get("fields", {})
    return fields


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_line(level: str, event: str, fields: Mapping[str, object]) -> str:
    """One event as a line of JSON, for what is written elsewhere than to the log's stream."""
    record = logging.LogRecord(LOGGER.name, _LEVELS[level], "", 0, event, None, None)
    record.__dict__["fields"] = dict(fields)
    return _Json().format(record)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**line, **_fields(record)})


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # A value that is more than a plain word is quoted, so that it cannot forge a second field or line.
        pairs = [f"{name}={_plain(value)}" for name, value in _fields(record).items()]
        return " ".join([_time(record), record.levelname.lower(), record.getMessage(), *pairs])


def _plain(value: object) -> str:
    text = str(value)
    safe = text.isascii() and text.isprintable() and not set(text) & set(' ="\\') and text != ""
    return text if safe else json.dumps(text)
