"""Addresses of sidecars on the command line."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

import typer

from callgate.text import quoted

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[A-Za-z0-9_.\-]+|\[[0-9A-Fa-f:.]+\]")


def parse(text: str) -> tuple[str, bool]:
    """The name that gRPC resolves, and true if the text requests TLS.

    A URL is its host and port; a host without a port is one with the port on which `callgate serve` listens.
    """
    if "://" in text and text.partition("://")[0].lower() in _PORTS:
        return _of_url(text)
    if _HOST.fullmatch(text):
        return f"{text}:{_usual_port()}", False
    try:
        return f"[{ipaddress.IPv6Address(text)}]:{_usual_port()}", False
    except ValueError:
        return text, False


def _of_url(text: str) -> tuple[str, bool]:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if not host or parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None:
        message = (
            f"expected HOST:PORT, https://HOST:PORT or unix:PATH, without a path or a password, got {quoted(text)}"
        )
        raise typer.BadParameter(message, param_hint="--target")
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{_PORTS[parts.scheme] if port is None else port}", parts.scheme == "https"


def _usual_port() -> str:
    # The model takes long to import.
    from callgate.config.model import Config  # noqa: PLC0415

    return str(Config.model_fields["listen"].default).rpartition(":")[2]
