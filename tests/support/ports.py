"""Ports of loopback for programs that must be told one."""

from __future__ import annotations

import os
import random
import socket

FIRST, LAST = 10_000, 32_000
"""Below the ports that Linux gives to clients, so that no connection takes one before its program listens."""
SHARES = 32
"""Processes that run tests at once have ports of their own: a share of the range each."""

_SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SHARES
_PORTS = range(FIRST + _SHARE, LAST, SHARES)
# Another run of the tests on this machine begins elsewhere.
_next = random.SystemRandom().randrange(len(_PORTS))


def free_port() -> int:
    """A port of loopback without a listener. No other test is given it."""
    global _next  # noqa: PLW0603 (this process's place in its share)
    while True:
        port = _PORTS[_next % len(_PORTS)]
        _next += 1
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
