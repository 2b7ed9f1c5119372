"""The hosts that HTTP requests may name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from callgate.config.address import host_of, is_loopback

if TYPE_CHECKING:
    from callgate.config.model import Config

_PORT: Final = re.compile(r":[0-9]+$")


def served_hosts(config: Config) -> list[str]:
    """The hosts of `allowed_hosts` and of `gateway.public_url`, as `Server` takes them.

    On an address that is no loopback one, hosts are held against a list only where somebody has given one: there the
    host of `public_url` alone must not become a list, which would shut out all others.
    """
    hosts, url = config.allowed_hosts, config.gateway.public_url
    if url is None or config.listen is None or not (hosts or is_loopback(host_of(config.listen))):
        return hosts
    # The port is not compared: a proxy may forward to another port than clients use.
    host = _PORT.sub("", url.partition("://")[2])
    return hosts if is_loopback(host.removeprefix("[").removesuffix("]")) else [*hosts, host]
