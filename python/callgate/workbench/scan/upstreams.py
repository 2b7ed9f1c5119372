"""Servers to scan from the command line and from a configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from callgate.errors import ConfigError
from callgate.text import did_you_mean, quoted
from callgate.workbench.scan.secrets import shown_url
from callgate.workbench.scan.target import HttpTarget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_URL: Final = re.compile(r"https?://", re.IGNORECASE)
_ROUTE: Final = re.compile(r"/mcp/([^/]+)/?")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def is_url(text: str) -> bool:
    """True if a text is meant as a URL."""
    return _URL.match(text) is not None


def url_target(url: str, headers: Mapping[str, str], name: str | None = None) -> HttpTarget:
    """A server by its URL; without a name, it gets that of its host, or of a gateway's route `/mcp/<name>`.

    Raises:
        ConfigError: The URL cannot be read.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
        parts = urlsplit("")
    if not host or any(character.isspace() for character in url):
        message = f"expected a URL such as `https://mcp.example.com/mcp`, got {quoted(shown_url(url))}"
        raise ConfigError(message)
    route = _ROUTE.fullmatch(parts.path)
    return HttpTarget(name or (unquote(route[1]) if route else host), url, headers)


def header_fields(texts: Sequence[str]) -> dict[str, str]:
    """Header fields that are written as NAME:VALUE.

    Raises:
        ConfigError: One is written in another way; its value is not shown.
    """
    fields = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not _HEADER.fullmatch(name.strip()) or not value.strip().isprintable():
            message = "--header: expected NAME:VALUE, such as `authorization:Bearer ...`"
            raise ConfigError(message)
        fields[name.strip().lower()] = value.strip()
    return fields


def upstream_targets(upstreams: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> list[HttpTarget]:
    """Servers of a configuration by name; all of them without names.

    Args:
        upstreams: `Bundle.upstreams`.
        names: The servers.

    Raises:
        ConfigError: There is no such server, or it has no endpoint.
    """
    for name in names:
        if name not in upstreams:
            message = f"no server with an upstream is named {quoted(name)}{did_you_mean(name, list(upstreams))}"
            raise ConfigError(message)
    if not upstreams:
        message = "the configuration has no server with an upstream, so that there is nothing to scan"
        raise ConfigError(message)
    chosen = names or list(upstreams)
    return [
        HttpTarget(name, upstreams[name]["url"], dict(upstreams[name]["headers"]), upstreams[name]["ca"])
        for name in chosen
    ]
