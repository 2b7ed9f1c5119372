"""Addresses of sidecars, in the forms that clients and commands take."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from callgate.text import quoted

USUAL_PORT: Final = 9191
"""The port of `callgate serve`."""

_PORTS: Final = {"http": 80, "https": 443}
_MAX_PORT: Final = 65_535
_HOST: Final = re.compile(r"[A-Za-z0-9_.\-]+|\[[0-9A-Fa-f:.]+\]")
_RESOLVED: Final = re.compile(r"(unix|unix-abstract|dns|ipv4|ipv6|xds):.*[^/:]")
"""Names with a scheme of gRPC, which it reads itself."""


@dataclass(frozen=True)
class Target:
    """The address of a sidecar."""

    name: str
    """The name that gRPC resolves, such as ``127.0.0.1:9191`` or ``unix:/run/callgate.sock``."""
    is_tls: bool
    """True if the text requests TLS."""

    @property
    def is_socket(self) -> bool:
        """True for a Unix socket."""
        return self.name.startswith("unix:")

    def __str__(self) -> str:
        """The shortest text with this meaning."""
        return f"https://{self.name}" if self.is_tls else self.name


def parse(text: str) -> Target:
    """The address that a text names: ``HOST:PORT``, a URL of host and port, or ``unix:PATH``.

    A host without a port is one with the port of `callgate serve`.

    Raises:
        ValueError: It is none.
    """
    scheme, slashes, _ = text.partition("://")
    target = _of_url(text) if slashes and scheme.lower() in _PORTS else _of_name(text)
    if target is None:
        message = (
            f"expected HOST:PORT, https://HOST:PORT or unix:PATH, with a port from 1 to {_MAX_PORT} and without a path "
            f"or a password, got {quoted(text)}"
        )
        raise ValueError(message)
    return target


def _of_name(text: str) -> Target | None:
    host, colon, port = text.rpartition(":")
    if colon and _HOST.fullmatch(host) and port.isascii() and port.isdigit():
        return Target(text, is_tls=False) if 1 <= int(port) <= _MAX_PORT else None
    if _RESOLVED.fullmatch(text):
        return Target(text, is_tls=False)
    if _HOST.fullmatch(text):
        return Target(f"{text}:{USUAL_PORT}", is_tls=False)
    try:
        return Target(f"[{ipaddress.IPv6Address(text)}]:{USUAL_PORT}", is_tls=False)
    except ValueError:
        return None


def _of_url(text: str) -> Target | None:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    host = f"[{host}]" if ":" in host else host
    has_more = parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None
    if not _HOST.fullmatch(host) or has_more or port == 0:
        return None
    return Target(f"{host}:{_PORTS[parts.scheme] if port is None else port}", is_tls=parts.scheme == "https")
