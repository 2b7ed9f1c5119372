"""Work on the store that takes too long for the thread of the control plane."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from callgate.control import logs
from callgate.control.failures import unexpected
from callgate.errors import CallgateError
from callgate.priority import step_back
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from callgate.control.changes import Changes
    from callgate.store.store import Store

_RETRY_S: Final = 1.0
"""Pause after an error."""

_STOP_S: Final = 2.0
"""Longest wait for the end of the work: the store may hang."""


class Worker:
    """A thread that works at its start, after each change of some kinds of rows, and again after an error.

    It runs at a lower priority than decisions.

    An error is logged as a warning, once until it passes or another one takes its place.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Store], float | None],
        changes: tuple[Changes, Iterable[str]],
        *,
        failure: str,
        rest_s: float = 0,
    ) -> None:
        """Prepares a thread, which `start` starts.

        Args:
            name: The name of the thread.
            work: Does the work. It returns the seconds after which it is done again without a change; None for never.
            changes: The news of the store, and the kinds of rows whose changes are to be heard.
            failure: The event that is logged for an error.
            rest_s: Shortest pause between two runs, in seconds, however often something changes.
        """
        self._name = name
        self._work = work
        self._changes, self._kinds = changes
        self._failure = failure
        self._rest_s = rest_s
        self._wake = Event()
        self._stopped = Event()
        self._thread: Thread | None = None

    @property
    def is_stopped(self) -> bool:
        """True once the work is to end, so that long work can look."""
        return self._stopped.is_set()

    def start(self, store: Store) -> None:
        """Begins to work on a store."""
        # A thread that was stopped and still hangs keeps its own event, and ends later.
        self._stopped = Event()
        self._changes.listen(self._hear, self._kinds)
        self._thread = Thread(target=self._run, args=(store, self._stopped), name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends after the run that has begun; waits for it at most two seconds."""
        self._changes.forget(self._hear)
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def wake(self) -> None:
        """Asks for another run soon."""
        self._wake.set()

    def _hear(self, _changed: frozenset[str]) -> None:
        self._wake.set()

    def _run(self, store: Store, stopped: Event) -> None:
        pause_s: float | None = 0
        told: str | None = None
        step_back()
        while True:
            self._wake.wait(pause_s)
            self._wake.clear()
            if stopped.is_set():
                return
            try:
                pause_s = self._work(store)
                told = None
            except Exception as error:  # noqa: BLE001  whatever it is, it may pass
                text = masked(str(error)) if isinstance(error, CallgateError) else unexpected(error)
                if text != told:
                    logs.log("warning", self._failure, {"error": text})
                told, pause_s = text, 0
                stopped.wait(max(_RETRY_S, self._rest_s))
            else:
                stopped.wait(self._rest_s)
