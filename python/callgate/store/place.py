"""The place of the store: a SQLite file, or a PostgreSQL database by its URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, unquote_plus, urlencode, urlsplit

FILE_NAME: Final = "callgate.db"
"""Name of the SQLite file in the state folder."""

SQLITE: Final = "sqlite:///"
_POSTGRESQL: Final = re.compile(r"postgres(ql)?(\+psycopg)?://")
_SECRET_PARAMETERS: Final = frozenset({"password", "sslpassword"})
_HIDDEN: Final = "***"


@dataclass(frozen=True)
class Place:
    """The place of the store."""

    url: str = field(repr=False)
    """The URL for SQLAlchemy, with its password."""
    path: Path | None = None
    """The file of SQLite; None for PostgreSQL."""
    link: Path | None = None
    """The link by which the file is named, if it is."""

    def __str__(self) -> str:
        """The file or the URL, without its password, for messages and logs."""
        return shown(self.url) if self.path is None else str(self.path)

    def hide(self, text: str) -> str:
        """A text of a driver without the password."""
        for secret in _secrets(self.url):
            text = text.replace(secret, _HIDDEN)
        return text


def in_folder(state: Path) -> Place:
    """The default: a SQLite file in the state folder."""
    return at_path(state / FILE_NAME)


def at_path(path: Path) -> Place:
    """A SQLite file. A link is followed: what belongs to the file is beside it, not beside the link."""
    if path.is_symlink():
        target = path.resolve()
        return Place(f"{SQLITE}{target}", target, path)
    return Place(f"{SQLITE}{path}", path)


def parse_place(url: str) -> Place:
    """The place that a URL names.

    Raises:
        ValueError: It is no URL of a store. The message shows nothing of it, because it may contain a password.
    """
    if url.startswith(SQLITE) and len(url) > len(SQLITE) and "\0" not in url:
        return at_path(Path(url.removeprefix(SQLITE)))
    if _POSTGRESQL.match(url) and _is_complete(url):
        return Place(_POSTGRESQL.sub("postgresql+psycopg://", url, count=1))
    message = (
        "expected `sqlite:///PATH` or `postgresql+psycopg://USER@HOST:PORT/DATABASE`; a password has `@`, `/`, `?` and "
        "`#` as `%40`, `%2F`, `%3F` and `%23`"
    )
    raise ValueError(message)


def has_password(url: str) -> bool:
    """True if the URL contains a secret."""
    return bool(_secrets(url))


def shown(url: str) -> str:
    """The URL without its password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _HIDDEN
    user, colon, _ = parts.netloc.rpartition("@")[0].partition(":")
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{user}{f':{_HIDDEN}' if colon else ''}@{host}" if "@" in parts.netloc else host
    query = [
        (name, _HIDDEN if name.lower() in _SECRET_PARAMETERS else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{urlencode(query, safe='*/')}" if query else "")


def _secrets(url: str) -> list[str]:
    """Each secret of the URL, as it is written there and as drivers see it; longer ones first."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    found = {parts.netloc.rpartition("@")[0].partition(":")[2]}
    for pair in parts.query.split("&"):
        name, _, value = pair.partition("=")
        if unquote_plus(name).lower() in _SECRET_PARAMETERS:
            found.add(value)
    return sorted(
        {form for one in found if one for form in (one, unquote(one), unquote_plus(one))}, key=len, reverse=True
    )


def _is_complete(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    # SQLAlchemy lets a password contain what ends the host part here, and would not agree about what to hide.
    is_clear = url.count("@") == parts.netloc.count("@") <= 1 and not parts.fragment
    return is_clear and len(parts.path) > 1
