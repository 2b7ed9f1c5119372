"""The shared counters of a configuration, in the form that the engine takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from callgate.config.shared_keys import NO_KEY
from callgate.config.shared_place import parse_shared
from callgate.config.units import to_ms
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from callgate.config.bundle import Bundle


class SharedCountersArgument(TypedDict):
    """The argument `shared` of an engine. It has secrets: it is passed on, and neither kept nor shown."""

    url: str
    """The URL in full, with every port and the number of the database."""
    password: str | None
    ca_pem: bytes | None
    """The trusted authorities; None for the system's."""
    budget_ms: int
    prefix: str
    lease_ms: int
    recovery_ms: int | None
    """None for the window of each limit."""
    grant_key: bytes
    """The key from which the identities of shared counts are derived."""


def shared_counters(bundle: Bundle) -> SharedCountersArgument | None:
    """The argument `shared` of an engine; None if the counters are not shared.

    Raises:
        ConfigError: The key of token hashes is missing.
    """
    counters = bundle.config.counters
    shared = counters.shared
    if shared is None:
        return None
    if bundle.key is None:
        raise ConfigError(NO_KEY)
    return {
        "url": parse_shared(shared.url).url,
        "password": bundle.redis_password,
        "ca_pem": bundle.redis_ca,
        "budget_ms": to_ms(shared.budget),
        "prefix": shared.prefix,
        "lease_ms": to_ms(shared.lease),
        "recovery_ms": None if counters.recovery is None else to_ms(counters.recovery),
        "grant_key": bundle.key,
    }
