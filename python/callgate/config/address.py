"""Addresses, and whether they are of this machine alone."""

from __future__ import annotations

import ipaddress


def host_of(address: str) -> str:
    """The IP address of an address with a port, such as ``[::1]:9191``."""
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]")


def is_loopback(host: str) -> bool:
    """True if a name or an IP address, without brackets and port, is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
