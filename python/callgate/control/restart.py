"""Changes of a configuration that take a restart, so that a reload refuses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from callgate.config.faults import Fault
from callgate.config.fields import AT_START
from callgate.config.hosts import served_hosts
from callgate.config.judge import dotted
from callgate.config.key import key_path
from callgate.config.model import Config
from callgate.config.tokens import tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.config.bundle import Bundle
    from callgate.config.document import KeyPath

FIXED: Final = tuple(name for name, field in Config.model_fields.items() if AT_START in field.metadata)
"""Keys that are read only at the start. The others take effect while the sidecar runs."""


def refused_changes(now: Bundle, before: Bundle, *, is_keyed: bool) -> Iterator[Fault]:
    """Faults of changes of the configuration that take effect only with a restart.

    `is_keyed` is true if the running server was started with a key of token hashes.
    """
    new, old = now.config.model_dump(mode="json"), before.config.model_dump(mode="json")
    changed = [path for name in FIXED for path in _differences(new[name], old[name], (name,))]
    if (now.tls is None) != (before.tls is None):
        changed.append(("tls",))
    for path in changed:
        message = f"`{dotted(path)}` cannot change while callgate runs; restart it, or put the value back"
        yield now.loaded.fault(path, message)
    yield from _other_host(now, before)
    yield from _other_key(now, before, is_keyed=is_keyed)
    yield from _opened(now, before)


def _other_host(now: Bundle, before: Bundle) -> Iterator[Fault]:
    """A fault if the hosts that requests may name change, because the server keeps them."""
    new, old = set(served_hosts(now.config)), set(served_hosts(before.config))
    if new != old and now.config.allowed_hosts == before.config.allowed_hosts:
        message = (
            "the host of `gateway.public_url`, which requests may name, cannot change while callgate runs; "
            "restart it, or put the value back"
        )
        yield now.loaded.fault(("gateway", "public_url"), message)


def _other_key(now: Bundle, before: Bundle, *, is_keyed: bool) -> Iterator[Fault]:
    """A fault if the key of token hashes changes, because the server keeps the one that it was started with."""
    had, has, fault = before.key, now.key, now.loaded.fault
    if has is not None and had not in {None, has}:
        given = now.config.grant_key_file is not None or now.config.grant_key is not None
        what = "`grant_key_file`" if given else f"the key of token hashes, `{key_path(now.config)}`,"
        message = f"{what} cannot change while callgate runs; restart it, or put the value back"
        yield fault(("grant_key_file",), message) if given else Fault(message)
    elif not is_keyed and any(tokens_of(pep) for pep in now.config.peps or ()):
        message = (
            "callgate was started before there was a key of token hashes, so the first PEP with a token takes a "
            "restart; restart it, or take the PEP out"
        )
        yield fault(("peps",), message)


def _opened(now: Bundle, before: Bundle) -> Iterator[Fault]:
    """Faults of removed keys whose absence would admit every caller: a half-saved file looks the same."""
    gone = [
        ("grants", before.grants is not None and now.grants is None),
        ("peps", before.config.peps is not None and now.config.peps is None),
    ]
    if before.oauth is not None and now.oauth is None and now.grants is None:
        message = (
            "`gateway.oauth` cannot be taken out while callgate runs and no grants are configured; restart it, or "
            "write `grants: []` for none"
        )
        yield now.loaded.fault(("gateway", "oauth"), message)
    for key, opened in gone:
        if opened:
            message = f"`{key}` cannot be taken out while callgate runs; restart it, or write `{key}: []` for none"
            yield now.loaded.fault((key,), message)


def _differences(now: Any, then: Any, path: KeyPath) -> Iterator[KeyPath]:  # noqa: ANN401  any part of a configuration
    if isinstance(now, dict) and isinstance(then, dict):
        for key in now:
            yield from _differences(now[key], then.get(key), (*path, key))
    elif now != then:
        yield path
