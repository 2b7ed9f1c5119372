"""Strings around folders, hosts and networks: in each region that the operators tell apart, one that is no other value.

Single values, such as those of `eq` beside `host_in`, must not use up the strings of a region. So each region has a
string with a text that no condition holds, and an address has another spelling.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import islice, product
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_FORMS: Final = ("x", "X", "02x", "03x", "04x", "04X")
"""Spellings of a group of an IPv6 address."""

_ADDRESSES: Final = ("192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::")  # noqa: S104  values of arguments


def folders(values: Sequence[str], fresh: str, taken: Collection[str]) -> Iterator[str]:  # noqa: ARG001  see `hosts`
    """Paths for `path_within`: in each folder, the folder, beside it, at the root, and no absolute path."""
    for folder in values:
        inner = folder.rstrip("/")
        yield f"{inner}/{fresh}"
        yield folder
        yield f"{inner}-{fresh}"
        yield f"{inner}/../{fresh}"
    yield f"/{fresh}"
    yield "/"
    yield fresh


def hosts(values: Sequence[str], fresh: str, taken: Collection[str]) -> Iterator[str]:  # noqa: ARG001  `networks` needs it
    """URLs for `host_in`: at each host, below each wildcard and its parent, elsewhere, and no URL."""
    for host in values:
        if host.startswith("*."):
            found = [f"{fresh}.{host[2:]}", host[2:]]
        else:
            found = [f"[{host}]" if ":" in host and not host.startswith("[") else host, f"{fresh}.{host}"]
        yield from (f"https://{one}/" for one in found)
        yield from (f"https://{one}/{fresh}" for one in found)
    yield f"https://{fresh}.invalid/"
    yield "https://192.0.2.1/"
    yield f"https://192.0.2.1/{fresh}"
    yield fresh


def networks(values: Sequence[str], fresh: str, taken: Collection[str]) -> Iterator[str]:
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
                yield from _spelled(mapped if mapped is not None else address, taken)
    for one in _ADDRESSES:
        yield from _spelled(ip_address(one), taken)
    yield fresh


def _spelled(address: IPv4Address | IPv6Address, taken: Collection[str]) -> Iterator[str]:
    """The usual spelling of an address; another one, too, if that is taken."""
    usual = str(address)
    yield usual
    if usual in taken:
        yield from islice((one for one in _other_spellings(address) if one not in taken), 1)


def _other_spellings(address: IPv4Address | IPv6Address) -> Iterator[str]:
    number = int(address) | (0xFFFF << 32) if isinstance(address, IPv4Address) else int(address)
    groups = [number >> shift & 0xFFFF for shift in range(112, -1, -16)]
    # The last two groups may be written as an IPv4 address.
    last = str(IPv4Address(number & 0xFFFF_FFFF))
    written = [list(dict.fromkeys(f"{one:{form}}" for form in _FORMS)) for one in groups]
    for row in product(*written[:6]):
        yield ":".join((*row, last))
    for row in product(*written):
        yield ":".join(row)
