"""Accepted forms of tools in the store beside the files, so that other replicas accept them too."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, TypeVar

import callgate._callgate as native
from callgate.cli.stores import place_of
from callgate.errors import CallgateError
from callgate.os_user import os_user

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from callgate.store.pins import Pin
    from callgate.store.store import Store

_T = TypeVar("_T")


def changed(
    folder: Path, server: str, change: Callable[[], _T], state: Path | None, config: Path | None, reason: str = ""
) -> _T:
    """Changes the file of a server's pins, and writes to the store what is accepted by it, and what is not any more.

    Without a store, such as before the first start of a sidecar, the file alone is changed. Where the store does not
    answer, neither is.

    Raises:
        CallgateError: The file cannot be changed, or the store does not answer.
    """
    place = place_of(state, config)
    if place.path is not None and not place.path.exists():
        return change()
    # SQLAlchemy takes long to import.
    from callgate.store.database import Domain  # noqa: PLC0415
    from callgate.store.store import open_store  # noqa: PLC0415

    store = open_store(place)
    try:
        before = _accepted(folder, server)
        made: list[_T] = []

        def work() -> None:
            # It may run twice; then the file was changed by the first time.
            result = change()
            made[:] = made or [result]
            _write(store, server, before, _accepted(folder, server), reason)

        store.database.together(work, Domain.ADMINISTRATION)
    finally:
        store.close()
    return made[0]


def _write(store: Store, server: str, before: list[Pin], after: list[Pin], reason: str) -> None:
    from callgate.store.model import Actor  # noqa: PLC0415  likewise

    by, now_us = Actor(f"{os_user()} (local)", f"command line at {socket.gethostname()}"), time.time_ns() // 1_000
    known = {(one.pin.tool, one.pin.digest) for one in store.pins.of_server(server) if not one.is_deleted}
    held = {(pin.tool, pin.digest) for pin in after}
    store.pins.accept([pin for pin in after if (pin.tool, pin.digest) not in known], by, reason, now_us)
    gone = [pin for pin in before if (pin.tool, pin.digest) not in held]
    store.pins.forget([pin for pin in gone if (pin.tool, pin.digest) in known], by, reason, now_us)


def _accepted(folder: Path, server: str) -> list[Pin]:
    from callgate.store.pins import accepted_forms  # noqa: PLC0415  likewise

    try:
        found = native.pins_read(folder, server)
    except CallgateError:
        # No list was seen yet, or the file is damaged, which the change itself says.
        return []
    return [pin for one in found for tool in one["tools"] for pin in accepted_forms(server, tool)]
