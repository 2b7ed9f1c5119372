"""The control plane's use of the store: opened once the data plane is ready, and kept open as long as possible.

Nothing here runs before decisions are served, and no decision waits for it: SQLAlchemy is imported on a thread of its
own. Where the store cannot be opened, it is tried again; calls that need an approval are denied meanwhile.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from enum import Enum
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, Protocol

from callgate.config.store_place import store_place
from callgate.control import logs
from callgate.control.changes import Changes
from callgate.control.failures import unexpected
from callgate.errors import CallgateError, StoreError
from callgate.store.place import in_folder
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from callgate.config.bundle import Bundle
    from callgate.control.store_numbers import StoreNumbers
    from callgate.store.changes import Kind
    from callgate.store.place import Place
    from callgate.store.store import Store
    from callgate.store.watcher import Watcher

_FIRST_PAUSE_S: Final = 0.25
_LAST_PAUSE_S: Final = 5.0
"""Longest pause before the store is tried again; the pause doubles each time."""

_WAIT_S: Final = 1.0
"""Longest wait for a change. After it, the store is asked all the same, which shows whether it answers."""

_MOST_TOLD: Final = 8
"""Most different errors that are logged until the store answers again."""

_STOP_S: Final = 5.0
"""Longest time that a stop waits for the store: it may hang."""


class Part(Protocol):
    """A part of the control plane that needs the store."""

    def start(self, store: Store) -> None:
        """Starts the work, on the thread of the plane; long work belongs on a thread of the part's own.

        Raises:
            StoreError: The store does not answer. After this and any other error the part is started again later.
        """

    def stop(self) -> None:
        """Ends the work within a second or two; called once for each start that succeeded."""


class StoreState(str, Enum):
    """The state of the store in a running sidecar."""

    OPENING = "opening"
    """The store was not opened yet."""
    OPEN = "open"
    UNAVAILABLE = "unavailable"
    """The store cannot be opened, or does not answer."""


@dataclass(frozen=True)
class StoreStatus:
    """The state of the store, without secrets."""

    place: str
    state: StoreState
    since: datetime
    revision: str | None = None
    """The revision of its tables; None until it was opened."""
    error: str | None = None
    """The reason for which it does not answer."""
    is_temporary: bool = False
    """True if it is removed at the end of the sidecar."""

    def fields(self) -> dict[str, Any]:
        """The state for programs."""
        return {
            "place": self.place,
            "state": self.state.value,
            "since": self.since.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "revision": self.revision,
            "error": self.error,
            "temporary": self.is_temporary,
        }


def place_of(bundle: Bundle) -> Place:
    """The place of a sidecar's store: a start that keeps nothing has it in its temporary folder.

    Raises:
        ConfigError: The file with the URL cannot be read.
    """
    if bundle.pins is not None and is_temporary(bundle):
        return in_folder(bundle.pins)
    return store_place(bundle.loaded)


def is_temporary(bundle: Bundle) -> bool:
    """True if the store is removed when the sidecar ends."""
    store = bundle.config.store
    return bundle.pins is not None and store.url is None and store.url_file is None


class Plane:
    """The store of a sidecar, with the parts that use it."""

    def __init__(self, bundle: Callable[[], Bundle], numbers: StoreNumbers, changes: Changes | None = None) -> None:
        """Takes the function that gives the configuration in force, whose store is looked up for each attempt.

        `changes` has the listeners that were there before.

        Raises:
            ConfigError: The store has no valid place.
        """
        self._bundle = bundle
        self._numbers = numbers
        self.changes = Changes() if changes is None else changes
        """Tells the parts of changes by any replica; it exists before the store is open."""
        self.store: Store | None = None
        """The store; None while it is not open."""
        self.status = StoreStatus(
            str(place_of(bundle())),
            StoreState.OPENING,
            datetime.now(timezone.utc),
            is_temporary=is_temporary(bundle()),
        )
        self._parts: list[Part] = []
        self._told = set[str]()
        self._faults: dict[Part, str] = {}
        self._stopped = Event()
        self._tried = Event()
        self._watcher: Watcher | None = None
        self._thread = Thread(target=self._run, name="callgate-control", daemon=True)

    def add(self, part: Part) -> None:
        """Adds a part; to be called before `start`. Parts are started in this order, and stopped in the other."""
        self._parts.append(part)

    def start(self) -> None:
        """Begins to open the store."""
        self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Waits until the store is open, cannot be opened, or the time is over."""
        self._tried.wait(timeout_s)

    def stop(self) -> None:
        """Stops the parts and closes the store; returns in a bounded time, whatever the store does."""
        self._stopped.set()
        if not self._thread.is_alive():
            return
        watcher = self._watcher
        if watcher is not None:
            watcher.end()
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            logs.log("warning", "store_still_busy", {"store": self.status.place})

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopped.is_set():
            try:
                self._open_and_serve()
                pause_s = _FIRST_PAUSE_S
            except CallgateError as error:
                self._fail(masked(str(error)))
            except Exception as error:  # noqa: BLE001  whatever it is, it may pass, and decisions go on
                self._fail(unexpected(error))
            if self._stopped.wait(pause_s):
                return
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    def _open_and_serve(self) -> None:
        """Opens the store and serves its parts until the stop.

        Raises:
            CallgateError: It cannot be opened, or a part cannot be started.
        """
        store = self._open()
        started: list[Part] = []
        try:
            # Read before the parts start: what changes from here on is told to them.
            seen = store.last_changes()
            self._start_rest(started, store)
            self.store = store
            self._succeed()
            self._watch(store, seen, started)
        finally:
            self.store = None
            _stop_all(started)
            store.close()

    def _open(self) -> Store:
        # Here, because SQLAlchemy takes long to import, and decisions are to be served first.
        from callgate.store.errors import StoreGoneError  # noqa: PLC0415
        from callgate.store.revision import HEAD  # noqa: PLC0415
        from callgate.store.store import open_store  # noqa: PLC0415

        bundle = self._bundle()
        place, bounds = place_of(bundle), bundle.config.approvals
        self.status = replace(self.status, place=str(place))
        self._numbers.set_store("postgresql" if place.path is None else "sqlite")
        began, failed = time.monotonic(), True
        try:
            if self.status.revision is not None and place.path is not None and not place.path.exists():
                # An empty one in its place would have no freezes.
                message = f"the store `{place}` is gone; stop callgate and restore it"
                raise StoreGoneError(message)
            store = open_store(place, per_grant=bounds.pending_per_grant, in_all=bounds.pending)
            failed = False
        finally:
            self._numbers.took("open", time.monotonic() - began, failed=failed)
        store.database.observer = self._numbers.took
        self.status = replace(self.status, revision=HEAD)
        return store

    def _start_rest(self, started: list[Part], store: Store) -> None:
        """Starts the parts that are not started yet; one that cannot, for a reason that is its own, is tried again.

        Raises:
            CallgateError: The store does not answer.
        """
        for part in self._parts:
            if part in started or self._stopped.is_set():
                continue
            try:
                part.start(store)
            except CallgateError:
                raise
            except Exception as error:  # noqa: BLE001  one part must not end the others
                text = unexpected(error)
                if self._faults.get(part) != text:
                    self._faults[part] = text
                    logs.log("error", "control_plane_failed", {"error": text})
            else:
                self._faults.pop(part, None)
                started.append(part)

    def _watch(self, store: Store, seen: dict[Kind, int], started: list[Part]) -> None:
        """Tells of changes until the stop."""
        pause_s = _FIRST_PAUSE_S
        watcher = self._watcher = store.watcher()
        try:
            while not self._stopped.is_set():
                try:
                    now = watcher.wait(seen, _WAIT_S)
                    if store.database.damage is not None:
                        # Looking for changes may read what is whole, but answers are missing: people must know.
                        raise store.database.damage
                    self._tell(seen, now)
                    self._start_rest(started, store)
                except StoreError as error:  # noqa: PERF203  each wait may fail by itself
                    self._fail(masked(str(error)))
                    self._stopped.wait(pause_s)
                    pause_s = min(2 * pause_s, _WAIT_S)
                else:
                    seen, pause_s = now, _FIRST_PAUSE_S
                    self._succeed()
        finally:
            self._watcher = None
            watcher.close()

    def _tell(self, seen: dict[Kind, int], now: dict[Kind, int]) -> None:
        changed = frozenset(kind.value for kind in now if now[kind] != seen.get(kind))
        if changed:
            self.changes.tell(changed)

    def _succeed(self) -> None:
        if self.status.state is StoreState.OPEN:
            return
        self._enter(StoreState.OPEN, None)
        self._told.clear()
        kept = {"kept": "until callgate ends; --state keeps it"} if self.status.is_temporary else {}
        logs.log("info", "store_open", {"store": self.status.place, "revision": self.status.revision, **kept})

    def _fail(self, error: str) -> None:
        if self._stopped.is_set():
            return
        self._enter(StoreState.UNAVAILABLE, error)
        # Two errors may take turns, so that the last one is not enough to know what was told.
        if error not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(error)
            logs.log("error", "store_unavailable", {"store": self.status.place, "error": error})

    def _enter(self, state: StoreState, error: str | None) -> None:
        since = self.status.since if self.status.state is state else datetime.now(timezone.utc)
        self.status = replace(self.status, state=state, since=since, error=error)
        self._numbers.set_available(is_available=state is StoreState.OPEN)
        self._tried.set()


def _stop_all(parts: Sequence[Part]) -> None:
    for part in reversed(parts):
        try:
            part.stop()
        except Exception as error:  # noqa: BLE001, PERF203  the others are to be stopped as well
            logs.log("error", "control_plane_failed", {"error": unexpected(error)})
