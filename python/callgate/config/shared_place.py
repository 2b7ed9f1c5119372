"""The place of counters that several callgates share: Redis, by its URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

_REDIS_PORT: Final = 6_379
_SENTINEL_PORT: Final = 26_379
_MAX_PORT: Final = 65_535
_UNIX: Final = "unix"
_PORTS: Final = {
    "redis": _REDIS_PORT,
    "rediss": _REDIS_PORT,
    "redis+sentinel": _SENTINEL_PORT,
    "rediss+sentinel": _SENTINEL_PORT,
    "redis+cluster": _REDIS_PORT,
    "rediss+cluster": _REDIS_PORT,
}
"""The usual port of each scheme with hosts."""

SHARED_PATTERN: Final = r"(rediss?(\+(sentinel|cluster))?|unix)://.+"
"""Texts that are meant as such a URL."""

_SHARED: Final = re.compile(SHARED_PATTERN, re.DOTALL)
_USER: Final = re.compile(r"([A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+")
_HOST: Final = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:([0-9]{1,5}))?")
_DATABASE: Final = re.compile(r"[0-9]{1,5}")
_MASTER: Final = re.compile(r"[A-Za-z0-9._-]+")

_FORMS: Final = (
    "expected `redis://HOST:PORT/DB`, `rediss://...` for TLS, `unix:///PATH`, "
    "`redis+sentinel://HOST:PORT,HOST:PORT/MASTER` or `redis+cluster://HOST:PORT,HOST:PORT`"
)


@dataclass(frozen=True)
class SharedPlace:
    """The place of shared counters, without a password."""

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    """Hosts and ports; none for a Unix socket."""
    rest: str
    """The number of the database, the name of the master or the path of the socket."""
    user: str = field(default="", repr=False)
    """The user's name as the URL has it, with `%` forms; empty for the default user."""

    @property
    def url(self) -> str:
        """The URL as the data plane takes it: with every port and the number of the database.

        That of a socket has a path with `%` forms, and the user behind it: `unix:///PATH?user=USER`.
        """
        if self.scheme == _UNIX:
            return f"{_UNIX}://{quote(self.rest)}{f'?user={self.user}' if self.user else ''}"
        return self._written(f"{self.user}@" if self.user else "")

    @property
    def is_tls(self) -> bool:
        """True if connections are over TLS."""
        return self.scheme.startswith("rediss")

    def __str__(self) -> str:
        """The URL without the user, for messages and logs."""
        return self._written("")

    def _written(self, user: str) -> str:
        if self.scheme == _UNIX:
            return f"{_UNIX}://{self.rest}"
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.scheme}://{user}{hosts}{f'/{self.rest}' if self.rest else ''}"


def is_shared(text: str) -> bool:
    """True if a text is meant as the URL of shared counters."""
    return _SHARED.fullmatch(text) is not None


def parse_shared(url: str) -> SharedPlace:
    """The place that a URL names.

    Raises:
        ValueError: It is no such URL. The message shows nothing of it, because it may contain a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or (scheme != _UNIX and scheme not in _PORTS):
        raise ValueError(_FORMS)
    user, rest = _user(scheme, rest)
    if scheme == _UNIX:
        if not rest.startswith("/") or rest == "/" or not rest.isprintable():
            message = "expected the absolute path of a socket, `unix:///PATH`"
            raise ValueError(message)
        return SharedPlace(scheme, (), rest, user)
    authority, _, rest = rest.partition("/")
    hosts = tuple(_host(scheme, text) for text in authority.split(","))
    kind = scheme.partition("+")[2]
    if not kind and len(hosts) > 1:
        message = "expected one host; `redis+sentinel://` and `redis+cluster://` have several"
        raise ValueError(message)
    return SharedPlace(scheme, hosts, _rest(kind, rest), user)


def _user(scheme: str, rest: str) -> tuple[str, str]:
    """The user's name, and the URL after it."""
    has_path_alone = scheme == _UNIX and rest.startswith("/")
    # The last `@`: a password may contain others, and the characters that end a host.
    user, at, after = ("", "", rest) if has_path_alone else rest.rpartition("@")
    if ":" in user:
        message = (
            "it contains a password, and everybody who may read this URL would have it: write the password to a file "
            "of its own, and name that as `counters.shared.password_file`"
        )
        raise ValueError(message)
    if "?" in rest or "#" in rest:
        message = "expected neither `?` nor `#`; a password is in the file `counters.shared.password_file`"
        raise ValueError(message)
    if at and (not _USER.fullmatch(user) or not _is_name(unquote(user, errors="replace"))):
        message = "expected a user's name before `@`: letters, digits and `._~-`, any other character as `%2F`"
        raise ValueError(message)
    return user, after


def _is_name(user: str) -> bool:
    return user.isprintable() and " " not in user and "\ufffd" not in user


def _host(scheme: str, text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = _PORTS[scheme] if found is None or found[3] is None else int(found[3])
    if found is None or not 1 <= port <= _MAX_PORT:
        message = "expected a host and a port, such as `redis.example.com:6379`, `10.0.0.7:6379` or `[::1]:6379`"
        raise ValueError(message)
    return found[1], port


def _rest(kind: str, rest: str) -> str:
    if kind == "sentinel":
        if not _MASTER.fullmatch(rest):
            message = "expected the name of the master after the hosts, such as `redis+sentinel://HOST:26379/mymaster`"
            raise ValueError(message)
        return rest
    if kind == "cluster":
        if rest:
            message = "expected nothing after the hosts: a Redis Cluster has one database"
            raise ValueError(message)
        return ""
    if rest and not _DATABASE.fullmatch(rest):
        message = "expected the number of a database after the host, such as `redis://HOST:6379/0`"
        raise ValueError(message)
    return str(int(rest or 0))
