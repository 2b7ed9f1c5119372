"""News of the store: parts of the control plane hear of the kinds of rows that any replica has changed."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from callgate.control import logs
from callgate.control.failures import unexpected
from callgate.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Listener = Callable[[frozenset[str]], None]


class Changes:
    """The listeners of one sidecar. Kinds are the words of `store.changes.Kind`, such as ``freezes``."""

    def __init__(self) -> None:
        """Begins without listeners."""
        self._listeners: dict[Listener, frozenset[str]] = {}
        self._lock = Lock()

    def listen(self, listener: Listener, kinds: Iterable[str]) -> None:
        """Calls `listener` with the kinds that have changed, of those that are named here.

        It is called on the thread of the control plane and must return soon. If it raises a `StoreError`, it is called
        again with the same kinds.
        """
        with self._lock:
            self._listeners[listener] = frozenset(map(str, (getattr(kind, "value", kind) for kind in kinds)))

    def forget(self, listener: Listener) -> None:
        """Calls a listener no more."""
        with self._lock:
            self._listeners.pop(listener, None)

    def tell(self, changed: frozenset[str]) -> None:
        """Tells all listeners of these kinds.

        Raises:
            StoreError: The store did not answer a listener.
        """
        with self._lock:
            listeners = list(self._listeners.items())
        failure: StoreError | None = None
        for listener, kinds in listeners:
            if not (wanted := kinds & changed):
                continue
            try:
                listener(wanted)
            except StoreError as error:
                failure = error
            except Exception as error:  # noqa: BLE001  the others are to be told as well
                logs.log("error", "control_plane_failed", {"error": unexpected(error)})
        if failure is not None:
            raise failure
