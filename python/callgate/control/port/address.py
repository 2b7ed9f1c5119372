"""The address of the admin port, bound before decisions are served: a taken one is refused at the start."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from callgate.config.address import is_loopback
from callgate.errors import ConfigError
from callgate.text import reason_of

_BACKLOG: Final = 1_024
"""Connections that the system keeps until they are accepted. Beyond them it drops the first packet, which the client
repeats after a second: a probe has timed out by then."""

_MAX_PORT: Final = 65_535


class BoundAddress:
    """A listening socket whose connections wait until `AdminServer` accepts them."""

    def __init__(self, listen: str) -> None:
        """Binds `listen`, such as ``127.0.0.1:9193``.

        Raises:
            ConfigError: The address cannot be bound.
        """
        try:
            host, port = _split(listen)
        except ValueError:
            message = f"cannot listen on `{listen}`: expected an IP address and a port, such as `127.0.0.1:9193`"
            raise ConfigError(message) from None
        try:
            self.listener = _bind(host, port)
            """The socket."""
        except OSError as error:
            reason = reason_of(error)
            message = f"cannot listen on `{listen}`: {reason}; stop the other process or choose another with --admin"
            raise ConfigError(message) from None
        bound, number = self.listener.getsockname()[:2]
        self.is_loopback = is_loopback(host)
        """True if only this machine reaches it."""
        self._text = f"[{bound}]:{number}" if ":" in bound else f"{bound}:{number}"

    def __str__(self) -> str:
        """The bound address, such as ``127.0.0.1:9193``."""
        return self._text

    def close(self) -> None:
        """Closes the socket."""
        self.listener.close()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that name their protocol. Without it, the body of an answer waits up to
    # 40 ms until the client has acknowledged the head.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _split(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    ipaddress.ip_address(host)
    number = int(port)
    if not 0 <= number <= _MAX_PORT:
        raise ValueError(port)
    return host, number
