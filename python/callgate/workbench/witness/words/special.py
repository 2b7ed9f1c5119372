"""Strings around folders, hosts and networks: one in each region that the operators tell apart."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FRESH: Final = "callgate-example"
"""A name that no policy is likely to hold."""


def folders(values: Sequence[str]) -> Iterator[str]:
    """Paths for `path_within`: in each folder, the folder, beside it, at the root, and no absolute path."""
    for folder in values:
        inner = folder.rstrip("/")
        yield f"{inner}/{_FRESH}"
        yield folder
        yield f"{inner}-{_FRESH}"
        yield f"{inner}/../{_FRESH}"
    yield f"/{_FRESH}"
    yield "/"
    yield _FRESH


def hosts(values: Sequence[str]) -> Iterator[str]:
    """URLs for `host_in`: at each host, below each wildcard and its parent, elsewhere, and no URL."""
    for host in values:
        if host.startswith("*."):
            yield f"https://{_FRESH}.{host[2:]}/"
            yield f"https://{host[2:]}/"
        else:
            yield f"https://{f'[{host}]' if ':' in host and not host.startswith('[') else host}/"
            yield f"https://{_FRESH}.{host}/"
    yield f"https://{_FRESH}.invalid/"
    yield "https://192.0.2.1/"
    yield _FRESH


def networks(values: Sequence[str]) -> Iterator[str]:
    """Addresses for `cidr_in`: the first and the last of each network and their neighbours, and no address."""
    for value in values:
        network = ip_network(value, strict=False)
        first, last = int(network.network_address), int(network.broadcast_address)
        top = (1 << network.max_prefixlen) - 1
        make = type(network.network_address)
        for number in (first, last, first - 1, last + 1):
            if 0 <= number <= top:
                address = make(number)
                mapped = getattr(address, "ipv4_mapped", None)
                yield str(mapped if mapped is not None else address)
    for one in ("192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::"):  # noqa: S104  values of arguments
        yield str(ip_address(one))
    yield _FRESH
