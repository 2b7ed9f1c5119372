"""The decision log."""

from __future__ import annotations

import re
import socket
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from callgate.config.address import is_loopback
from callgate.config.audit_key import expires_unix_s, read_audit_key
from callgate.config.fields import Count, Duration, FilePath, Ratio, Section, Size, within
from callgate.text import quoted

EVERY_ALLOW: Final = 1_000_000
"""The data plane takes shares of plain allows by the million."""

_STREAM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LONGEST_STREAM: Final = 128
_URL: Final = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[^\s#]*)?")


class AuditMode(str, Enum):
    """The treatment of a decision that cannot be logged."""

    BEST_EFFORT = "best_effort"
    REQUIRED = "required"


def _stream(value: str) -> str:
    if not _STREAM.fullmatch(value):
        message = (
            f"expected 1 to {_LONGEST_STREAM} letters, digits, `.`, `_` and `-`, of which the first is a letter or a "
            f"digit, got {quoted(value)}"
        )
        raise ValueError(message)
    return value


def _receiver(value: str) -> str:
    # The value is not shown, because it may contain a password.
    if not _URL.fullmatch(value):
        message = "expected a URL such as `https://audit.example.com/checkpoints`, without user, password and fragment"
        raise ValueError(message)
    if value.startswith("http:") and not is_loopback(urlsplit(value).hostname or ""):
        message = "expected `https`; `http` is for receivers on this machine alone"
        raise ValueError(message)
    return value


class Audit(Section):
    """One JSON line for each decision."""

    path: FilePath
    """File of the decision log, one JSON line per decision; `-` is standard output."""

    mode: AuditMode = AuditMode.BEST_EFFORT
    """Treatment of a decision that cannot be logged: `best_effort` drops and counts its line, `required` denies it."""

    max_bytes: Size = 256 << 20
    """A file of this size is rotated; 0 for never."""

    max_age: Annotated[Duration, within(timedelta(), timedelta(days=366))] = timedelta()
    """A file of this age is rotated, in whole seconds; 0 for never."""

    keep: Annotated[Count, Field(ge=1, le=1000)] = 8
    """Number of rotated files that are kept."""

    sync_interval: Annotated[Duration, within(timedelta(), timedelta(hours=1))] = timedelta(seconds=1)
    """Interval at which lines are forced to the disk; 0 for never."""

    key_file: FilePath | None = None
    """File of the key that signs the log, from `callgate audit key new`; without it, the log is not signed."""

    stream: Annotated[str, AfterValidator(_stream)] | None = None
    """Name of this replica's signed log, which no other replica has; by default the name of the host."""

    checkpoint_interval: Annotated[Duration, within(timedelta(milliseconds=100), timedelta(hours=1))] = timedelta(
        seconds=1
    )
    """Interval at which new lines of a signed log are signed."""

    checkpoints_file: FilePath | None = None
    """File, on another disk or machine, to which checkpoints of a signed log are appended."""

    checkpoints_url: Annotated[str, AfterValidator(_receiver)] | None = None
    """URL to which checkpoints of a signed log are sent by POST."""

    sample_allows: Ratio = 1.0
    """Share of plain allows that a signed log keeps, from 0 to 1; the others are counted in it."""

    @model_validator(mode="after")
    def _signed(self) -> Audit:
        if self.key_file is None:
            given = [
                name
                for name in ("stream", "checkpoint_interval", "checkpoints_file", "checkpoints_url", "sample_allows")
                if name in self.model_fields_set and getattr(self, name) != type(self).model_fields[name].default
            ]
            if given:
                message = f"`{given[0]}` is for signed logs and needs `key_file`; `callgate audit key new` makes one"
                raise ValueError(message)
        elif str(self.path) == "-":
            message = "a signed log needs a file as `path`, because it has to be read when callgate starts"
            raise ValueError(message)
        return self

    def stream_name(self) -> str:
        """The name of the stream."""
        if self.stream is not None:
            return self.stream
        host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:_LONGEST_STREAM].lstrip("._-")
        return host or "host"

    def server_keywords(self) -> dict[str, Any]:
        """The argument `audit` of `Server`.

        Raises:
            ConfigError: The key cannot be read.
        """
        keywords = super().server_keywords()
        max_age_ms = keywords.pop("max_age_ms")
        for name in ("key_file", "stream", "checkpoints_file", "checkpoints_url", "sample_allows"):
            del keywords[name]
        interval_ms = keywords.pop("checkpoint_interval_ms")
        keywords["max_age_s"] = -(-max_age_ms // 1000)
        if self.key_file is None:
            return keywords
        key = read_audit_key(self.key_file)
        return {
            **keywords,
            "signing": {
                "key": key.pem,
                "public_key": key.statements[-1].key.content if key.statements else None,
                "former_keys": [statement.key.content for statement in key.statements[:-1]],
                "statements": [statement.note for statement in key.statements],
                "expires_unix_s": expires_unix_s(key),
                "stream": self.stream_name(),
                "checkpoint_interval_ms": interval_ms,
                "logged_of_million": round(self.sample_allows * EVERY_ALLOW),
            },
        }
