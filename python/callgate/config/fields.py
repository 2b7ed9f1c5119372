"""The types of the configuration's keys."""

from __future__ import annotations

import ast
import inspect
import ipaddress
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from callgate.config.units import format_duration, format_size, parse_duration, parse_size, to_ms
from callgate.text import did_you_mean, is_text, quoted

_MAX_PORT: Final = 65_535
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_BASE: Final = re.compile(r"https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
FILE_STORE: Final = "file:"


@cache
def meanings(section: type[BaseModel]) -> Mapping[str, str]:
    """The docstring below each key of a section.

    pydantic can read them, but does so at the import, for which it reads the source of every section.
    """
    return {
        key.target.id: inspect.cleandoc(text.value.value)
        for key, text in pairwise(_classes(section.__module__)[section.__name__].body)
        if isinstance(key, ast.AnnAssign)
        and isinstance(key.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


@cache
def _classes(module: str) -> Mapping[str, ast.ClassDef]:
    """The classes in the source of a module. `inspect` would parse it anew for each of them."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {one.name: one for one in tree.body if isinstance(one, ast.ClassDef)}


def with_meanings(schema: dict[str, Any], section: type[BaseModel]) -> None:
    """Adds the docstrings of the keys to the JSON Schema of a section."""
    for name, meaning in meanings(section).items():
        # Where the lines of the source break means nothing to an editor.
        schema["properties"][name]["description"] = " ".join(meaning.split())


class Section(BaseModel):
    """Base of all sections: validated, immutable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=with_meanings)

    def server_keywords(self) -> dict[str, Any]:
        """The section as the data plane takes it; a duration is in whole ms, under `<key>_ms`."""
        return dict(_keyword(name, getattr(self, name)) for name in type(self).model_fields)


def _keyword(name: str, value: object) -> tuple[str, object]:
    if isinstance(value, timedelta):
        return f"{name}_ms", to_ms(value)
    return name, value.value if isinstance(value, Enum) else value


@dataclass(frozen=True)
class PathMark:
    """Marks a path: in a file, a relative path starts at that file's folder."""

    prefix: str = ""
    """The prefix of the path; a value without it is not a path."""


def _list_given(value: object) -> object:
    # An empty key, such as one whose entries are commented out, is a mistake and must not count as an absent key.
    if value is None:
        message = "expected a list, got nothing; `[]` is an empty one"
        raise ValueError(message)
    return value


def _path_given(value: object) -> object:
    if value is None:
        message = "expected a path, got nothing"
        raise ValueError(message)
    return value


def _without_null(schema: dict[str, Any]) -> None:
    schema.update(schema.pop("anyOf")[0])


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        message = "expected a duration with its unit, such as `500ms`, `30s`, `5m`, `12h` or `7d`"
        raise ValueError(message)  # noqa: TRY004  pydantic turns a ValueError into a fault of this field
    return parse_duration(value)


def within(least: timedelta, most: timedelta) -> AfterValidator:
    """Bounds of a duration, both included."""

    def bounded(value: timedelta) -> timedelta:
        if value < least:
            message = f"expected at least `{format_duration(least)}`"
            raise ValueError(message)
        if value > most:
            message = f"expected at most `{format_duration(most)}`"
            raise ValueError(message)
        return value

    return AfterValidator(bounded)


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        message = "expected a size such as `65536`, `512KiB` or `4MiB`"
        raise ValueError(message)  # noqa: TRY004  as above
    return parse_size(str(value))


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not re.fullmatch(r"-?[0-9]{1,18}", str(value)):
        shown = f", got {quoted(value)}" if isinstance(value, str) else ""
        message = f"expected a whole number{shown}"
        raise ValueError(message)
    return int(value)


def checked_text(value: str) -> str:
    """Text that is valid as a name.

    Raises:
        ValueError: It is none.
    """
    if not value:
        message = "expected at least one character"
        raise ValueError(message)
    if "\0" in value:
        message = "expected text without NUL characters"
        raise ValueError(message)
    if not is_text(value):
        message = "expected UTF-8 text"
        raise ValueError(message)
    return value


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        message = "expected a path"
        raise ValueError(message)  # noqa: TRY004  as above
    return Path(checked_text(value))


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]") if host.startswith("[") else host)
        is_v6 = ":" in host
        good = port.isascii() and port.isdigit() and int(port) <= _MAX_PORT and is_v6 == host.startswith("[")
    except ValueError:
        good = False
    if not good:
        message = f"expected an IP address and a port, such as `127.0.0.1:9191` or `[::1]:9191`, got {quoted(value)}"
        raise ValueError(message)
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.\-]+|\[[0-9A-Fa-f:.]+\]", value):
        message = (
            f"expected a host name without a scheme and a port, such as `callgate.example.com`, got {quoted(value)}"
        )
        raise ValueError(message)
    return value


def public_base(value: str) -> str:
    """A URL without a path.

    Raises:
        ValueError: It is none.
    """
    if not _BASE.fullmatch(value):
        message = f"expected a URL without a path, such as `https://callgate.example.com`, got {quoted(value)}"
        raise ValueError(message)
    return value


def _hash(value: object) -> str:
    # The value stays out of the message: a user who mistakes a token for its hash has written a secret here.
    if isinstance(value, str) and value.startswith("cgt_"):
        message = "expected the hash of a token, this looks like a token itself; take the line that `create` prints"
        raise ValueError(message)
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        message = "expected 64 lower-case hex digits in quotes, as `create` prints them"
        raise ValueError(message)
    return value


def parse_instant(value: object) -> datetime:
    """An instant in UTC from RFC 3339.

    Raises:
        ValueError: Anything else.
    """
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        text = value.upper().replace("Z", "+00:00")
        # Whole microseconds: Python 3.10 accepts only three or six digits.
        text = re.sub(r"\.(\d+)", lambda found: "." + found[1][:6].ljust(6, "0"), text)
        try:
            return datetime.fromisoformat(text).astimezone(timezone.utc)
        except (ValueError, OverflowError):
            pass
    shown = f", got {quoted(value)}" if isinstance(value, str) else ""
    message = f"expected a time with its zone as in RFC 3339, such as `2027-01-31T00:00:00Z`{shown}"
    raise ValueError(message)


def _store(value: str) -> str:
    if value != "memory" and not (value.startswith(FILE_STORE) and len(value) > len(FILE_STORE)):
        # A URL may contain a password.
        got = "a URL; that of Redis is `counters.shared.url`" if "://" in value or "@" in value else quoted(value)
        message = f"expected `memory` or `file:PATH`, got {got}"
        raise ValueError(message)
    return value


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC, to the second if that is exact."""
    shown = instant.astimezone(timezone.utc)
    return shown.isoformat(timespec="microseconds" if shown.microsecond else "seconds").replace("+00:00", "Z")


def one_of(words: type[Enum], *sections: type[Section]) -> WrapValidator:
    """A word, or keys and values of one of these sections, each of which has one key.

    Dispatched by hand, so that a fault is about the form that was written and has its place.
    """
    keys = {key: section for section in sections for key in section.model_fields}
    known = [word.value for word in words]
    expected = f"expected {', '.join(f'`{word}`' for word in known)}, or one of the keys {_listed(keys)}"

    def dispatched(value: object, _: ValidatorFunctionWrapHandler) -> object:
        if isinstance(value, (words, *sections)):
            return value
        if isinstance(value, str) and value in known:
            return words(value)
        if not isinstance(value, dict):
            message = f"{expected}{f', got {quoted(value)}' if isinstance(value, str) else ''}"
            raise ValueError(message)  # noqa: TRY004  pydantic turns a ValueError into a fault of this field
        unknown = next((str(key) for key in value if key not in keys), None)
        if unknown is not None:
            message = f"unknown key {quoted(unknown)}{did_you_mean(unknown, list(keys))}"
            raise ValueError(message)
        if len(value) != 1:
            message = f"expected one of the keys {_listed(keys)}, got {len(value)} of them"
            raise ValueError(message)
        return keys[next(iter(value))].model_validate(value)

    return WrapValidator(dispatched)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _schema(kind: str | list[str], **more: Any) -> WithJsonSchema:  # noqa: ANN401  JSON
    return WithJsonSchema({"type": kind, **more})


ListGiven = BeforeValidator(_list_given)
"""Marks a list whose absence differs from an empty list: null is refused."""

PathGiven = BeforeValidator(_path_given)
"""The same for a path."""

AT_START: Final = "read only at the start"
"""Marks a key of the configuration that cannot change while the sidecar runs."""

NotNull: Any = Field(validate_default=False, json_schema_extra=_without_null)
"""Accompanies either: the default is absent, and only a given value is checked."""

Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration),
    _schema("string", pattern="^[0-9]+(ms|s|m|h|d|w)$"),
]
"""A duration with its unit."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(format_size),
    _schema(["integer", "string"], pattern="^[0-9]+ ?(B|kB|MB|GB|KiB|MiB|GiB)?$", minimum=0),
]
"""Bytes."""

Flag = Annotated[bool, Field(strict=True)]
"""True or false; a word such as `no` is refused."""

Count = Annotated[int, BeforeValidator(_count)]
"""A whole number."""

Text = Annotated[str, AfterValidator(checked_text)]
"""Text that is not empty."""

FilePath = Annotated[Path, BeforeValidator(_path), PathMark(), _schema("string", minLength=1)]
"""A path of a file or folder."""

Address = Annotated[str, AfterValidator(_address)]
"""An IP address and a port."""

Host = Annotated[str, AfterValidator(_host)]
"""The name of a host."""

TokenHash = Annotated[str, BeforeValidator(_hash), _schema("string", pattern="^[0-9a-f]{64}$")]
"""The keyed hash of a token."""

Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    PlainSerializer(format_instant),
    _schema("string", format="date-time"),
]
"""An instant."""

Store = Annotated[str, AfterValidator(_store), PathMark(FILE_STORE)]
"""The place of the counters."""


def _ratio(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        message = "expected a number from `0` to `1`"
        raise ValueError(message)  # noqa: TRY004  pydantic turns a ValueError into a fault of this field
    try:
        ratio = float(value)
    except ValueError:
        ratio = -1
    # Not a number is in no range.
    if not 0 <= ratio <= 1:
        message = "expected a number from `0` to `1`"
        raise ValueError(message)
    return ratio


Ratio = Annotated[float, BeforeValidator(_ratio)]
"""A part of a whole, from 0 to 1."""
