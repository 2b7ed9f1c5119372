"""Structured logs on stderr: one line for one event, as text or as JSON, and never a flood."""

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
        """What a handler writes to."""

        def write(self, text: str, /) -> object:
            """Takes a line."""

        def flush(self) -> None:
            """Is called after every line."""

    LogFormat: TypeAlias = Literal["json", "text"]

LOGGER: Final = logging.getLogger("callgate")

PER_SECOND: Final = 100
"""Lines of one event within one second; what goes beyond is counted, and told in the next second's first line."""

_LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def log(level: str, event: str, fields: Mapping[str, object] | None = None) -> None:
    """Logs one event: `level` is ``info``, ``warning`` or ``error``, `event` one word, `fields` more about it."""
    LOGGER.log(_LEVELS[level], event, extra={"fields": dict(fields or {})})


def configure(log_format: LogFormat, stream: Stream | None = None) -> None:
    """Sends callgate's events to `stream` (stderr where None) in this format, in place of where they went before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    handler.addFilter(Pace())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


class Pace(logging.Filter):
    """Lets through so many lines of one event per second."""

    def __init__(self, per_second: int = PER_SECOND, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes the pace and a clock in seconds."""
        super().__init__()
        self._per_second = per_second
        self._clock = clock
        self._second = 0
        self._lines: dict[str, int] = {}
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written; a handler calls it under its lock."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._lines.clear()
        event = record.msg
        written = self._lines.get(event, 0)
        if written >= self._per_second:
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


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**line, **_fields(record)})


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # Values are quoted where they hold more than a plain word, so that no name can forge a second field or line.
        pairs = [f"{name}={_plain(value)}" for name, value in _fields(record).items()]
        return " ".join([_time(record), record.levelname.lower(), record.getMessage(), *pairs])


def _plain(value: object) -> str:
    text = str(value)
    safe = text.isascii() and text.isprintable() and not set(text) & set(' ="\\') and text != ""
    return text if safe else json.dumps(text)
