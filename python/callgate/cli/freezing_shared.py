"""Freezes in the store of replicas, as `callgate freeze` and `callgate thaw` write them."""

from __future__ import annotations

import secrets
import shlex
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from callgate import clock
from callgate.config.freezes import Freeze
from callgate.config.load import load
from callgate.config.store_place import store_place
from callgate.config.tokens import unix_us

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from callgate.store.freezes import Freeze as StoredFreeze
    from callgate.store.model import Actor
    from callgate.store.place import Place
    from callgate.store.store import Store
    from callgate.store.targets import Target

_SOURCE: Final = "command line"


def shared_place(state: Path | None, config: Path | None) -> Place | None:
    """The store that replicas share; None if the command is about one state folder.

    Raises:
        ConfigError: The configuration cannot be read, or its store has no valid place.
    """
    if state is not None:
        return None
    place = store_place(load(config))
    return place if place.path is None else None


def freeze_all(place: Place, made: Freeze) -> bool:
    """Writes a freeze, and ends those of the same calls; true if there was one.

    Raises:
        StoreError: The store does not answer.
        ConfigError: The driver of the database is not installed.
    """
    from callgate.store.ids import ID_BYTES, make_id  # noqa: PLC0415  SQLAlchemy takes long to import
    from callgate.store.model import Actor  # noqa: PLC0415  likewise

    by, now_us = Actor(made.by, _SOURCE), clock.now_us()
    # Its own time, in whole seconds, by which it is known again.
    made_us = unix_us(made.at) or now_us
    with _opened(place) as store:
        before = [one for one in store.freezes.in_force(now_us) if one.target == made.target]
        name = make_id(secrets.token_bytes(ID_BYTES))
        # First the new one: at no moment are the calls let through.
        store.freezes.freeze(name, made.target, made.reason, by, made_us, until_us=unix_us(made.until))
        for one in before:
            _end(store, one, by, "frozen anew", now_us)
    return bool(before)


def thaw_all(place: Place, target: Target, user: str) -> tuple[int, list[Freeze]]:
    """Ends the freezes of these calls; returns their number, and the freezes that stay.

    Raises:
        StoreError: The store does not answer.
        ConfigError: The driver of the database is not installed.
    """
    from callgate.store.model import Actor  # noqa: PLC0415  likewise

    by, now_us = Actor(user, _SOURCE), clock.now_us()
    with _opened(place) as store:
        there = store.freezes.in_force(now_us)
        ended = [one for one in there if one.target == target]
        for one in ended:
            _end(store, one, by, "thawed", now_us)
    return len(ended), [Freeze.of_stored(one) for one in there if one.target != target]


def frozen(place: Place) -> list[Freeze]:
    """All freezes of the store.

    Raises:
        StoreError: The store does not answer.
    """
    with _opened(place) as store:
        return [Freeze.of_stored(one) for one in store.freezes.in_force(clock.now_us())]


def thaw_command(target: Target, config: Path | None) -> str:
    """The command that ends a freeze of the store."""
    named = [] if config is None else ["--config", str(config)]
    return shlex.join(["callgate", "thaw", *named, *target.words()])


@contextmanager
def _opened(place: Place) -> Iterator[Store]:
    from callgate.store.store import open_store  # noqa: PLC0415  likewise

    store = open_store(place)
    try:
        yield store
    finally:
        store.close()


def _end(store: Store, freeze: StoredFreeze, by: Actor, why: str, now_us: int) -> None:
    from callgate.store.errors import StateError  # noqa: PLC0415  likewise

    # Somebody else may have ended it, or its time is over by now.
    with suppress(StateError):
        store.freezes.thaw(freeze.id, by, why, now_us)
