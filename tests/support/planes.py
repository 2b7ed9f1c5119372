"""The control plane's use of a store, without a sidecar."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from callgate.config.bundle import Bundle, read_bundle
from callgate.config.document import KeyPath
from callgate.config.load import Option
from callgate.control.plane import Plane, StoreState
from callgate.control.store_numbers import StoreNumbers
from callgate.errors import StoreError
from callgate.store.place import Place
from callgate.store.store import Store

PATIENCE_S = 60.0


def bundle_of(place: Place, **more: object) -> Bundle:
    """A configuration with a store, without servers."""
    options: dict[KeyPath, Option] = {("store", "url"): Option("--store", place.url)}
    options |= {tuple(key.split("__")): Option(f"--{key}", value) for key, value in more.items()}
    return read_bundle(None, options)


def temporary_bundle(folder: Path) -> Bundle:
    """The configuration of a start without a state folder."""
    bundle = read_bundle(None, {})
    return Bundle(bundle.loaded, {}, None, None, None, pins=folder)


def plane_of(place: Place, numbers: StoreNumbers | None = None) -> Plane:
    """A plane that was not started."""
    bundle = bundle_of(place)
    return Plane(lambda: bundle, StoreNumbers() if numbers is None else numbers)


class Recorder:
    """A part that records what happens to it, and fails as often as it is told."""

    def __init__(self, fails: int = 0, log: list[str] | None = None, name: str = "part") -> None:
        self.fails = fails
        self.store: Store | None = None
        self.log = [] if log is None else log
        self.name = name

    def start(self, store: Store) -> None:
        self.log.append(f"start {self.name}")
        if self.fails > 0:
            self.fails -= 1
            raise StoreError("the store does not answer")
        self.store = store

    def stop(self) -> None:
        self.log.append(f"stop {self.name}")
        self.store = None


def wait_until(holds: Callable[[], object], found: Callable[[], object] = lambda: "") -> None:
    """Waits for a condition, with patience for a busy machine; `found` says in the failure what was there."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"it did not come true {found()}"
        time.sleep(0.02)


def is_open(plane: Plane) -> bool:
    """True if the store is open and answers."""
    return plane.store is not None and plane.status.state is StoreState.OPEN
