"""The open streams of all faces. Each caller is checked anew as soon as people or tokens of the store change."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final

import grpc

from callgate.admin.calls.errors import AdminError, admin_error
from callgate.store.changes import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

KINDS: Final = frozenset({Kind.PEOPLE.value, Kind.TOKENS.value})
"""The kinds of rows that rights depend on."""

_RETRY_S: Final = 0.5
"""Time until a caller is checked again for whom the store did not answer."""

_STOP_S: Final = 2.0


class _OpenStream:
    """A stream, its check, and the function that ends it."""

    def __init__(self, check: Callable[[], None], end: Callable[[AdminError], object]) -> None:
        self.check = check
        self.end = end


class OpenStreams:
    """Ends streams whose callers may not read them any more, on a thread that starts with the first stream."""

    def __init__(self) -> None:
        """Begins without streams."""
        self._lock = Lock()
        self._streams: set[_OpenStream] = set()
        self._due: set[_OpenStream] = set()
        self._wake = Event()
        self._stopped = Event()
        self._thread: Thread | None = None

    @contextmanager
    def checked(self, check: Callable[[], None], end: Callable[[AdminError], object]) -> Iterator[None]:
        """Checks a stream for as long as it is open.

        Args:
            check: Raises an `AdminError` if the caller may not read the stream any more.
            end: Ends the stream with such an error; called at most once, on another thread.
        """
        stream = _OpenStream(check, end)
        with self._lock:
            if self._thread is None:
                thread = Thread(target=self._run, name="callgate-open-streams", daemon=True)
                # The system may have none left: then this stream fails, and the next one tries again.
                thread.start()
                self._thread = thread
            self._streams.add(stream)
            # The caller may have lost the right since they were looked up.
            self._due.add(stream)
        self._wake.set()
        try:
            yield
        finally:
            with self._lock:
                self._streams.discard(stream)
                self._due.discard(stream)

    def look_again(self, changed: Collection[str]) -> None:
        """Starts a check of all callers if a kind has changed that rights depend on; returns at once."""
        if KINDS.isdisjoint(changed):
            return
        with self._lock:
            self._due |= self._streams
        self._wake.set()

    def stop(self) -> None:
        """Stops the checks."""
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                due, self._due = self._due, set()
            unanswered = {stream for stream in due if not self._stopped.is_set() and not _is_checked(stream)}
            if unanswered:
                with self._lock:
                    self._due |= unanswered & self._streams
                self._wake.set()
                self._stopped.wait(_RETRY_S)


def _is_checked(stream: _OpenStream) -> bool:
    """False if the store did not answer. Streams have a message every 15 seconds, with a check that ends them then."""
    try:
        stream.check()
    except Exception as error:  # noqa: BLE001  a fault ends one stream and not the checks of the others
        fault = admin_error(error)
        if fault.code is grpc.StatusCode.UNAVAILABLE:
            return False
        stream.end(fault)
    return True
