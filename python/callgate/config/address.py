"""Addresses, and the test for loopback addresses."""

from __future__ import annotations

import ipaddress


def host_of(address: str) -> str:
    """The IP address of an address with a port, such as ``[::1]:9191``."""
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]")


def is_loopback(host: str) -> bool:
    """True if a name or an IP address, without brackets and port, can be reached only from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
