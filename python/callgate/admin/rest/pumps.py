"""Streams of the API for many readers: one thread for each different request, however many read it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

import grpc

from callgate.admin.calls.call import Call
from callgate.admin.calls.errors import AdminError, admin_error
from callgate.priority import step_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

_MOST_PUMPS: Final = 32
"""Different requests that are followed at once, each by a thread."""

MOST_OF_CALLER: Final = 8
"""Different requests that one caller follows at once, so that nobody takes the streams of all others."""

_MOST_WAITING: Final = 2_000
"""Messages that wait for one reader; a slower one is ended, and can go on where it was."""


@dataclass(eq=False)
class Reader:
    """A reader of a stream."""

    caller: str
    """The name of the person or machine."""
    waiting: asyncio.Queue[Message | AdminError | None] = field(
        default_factory=lambda: asyncio.Queue(_MOST_WAITING + 1)
    )
    """Messages; then an error or None, which is the end."""
    is_late: bool = False

    def put(self, item: Message | AdminError | None) -> None:
        """Takes a message; ends a reader that is too slow."""
        if self.is_late:
            return
        if item is not None and self.waiting.qsize() >= _MOST_WAITING:
            self.is_late = True
            item = AdminError(grpc.StatusCode.RESOURCE_EXHAUSTED, "this reader is too slow; go on from the last id")
        self.waiting.put_nowait(item)


class _Pump:
    """One stream and its readers; its state is that of the thread of the event loop."""

    def __init__(self, open_stream: Callable[[Call], Iterator[Message]], loop: asyncio.AbstractEventLoop) -> None:
        self._open = open_stream
        self._loop = loop
        self.call = Call(source="", ended=Event())
        self.readers: set[Reader] = set()
        self.has_begun = asyncio.Event()
        """Set once the readers receive every later change."""
        self.is_over = False
        Thread(target=self._run, name="callgate-admin-stream", daemon=True).start()

    def _run(self) -> None:
        last: AdminError | None = None
        step_back()
        try:
            for message in self._open(self.call):
                self._tell(self._deliver, message)
        except Exception as error:  # noqa: BLE001  readers are told
            last = admin_error(error)
        self._tell(self._end, last)

    def _tell(self, function: Callable[..., None], item: Message | AdminError | None) -> None:
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, item)

    def _deliver(self, message: Message) -> None:
        if not self.has_begun.is_set():
            # The beginning of a stream is sent to each reader by itself.
            is_begin = getattr(message, "synced", True)
            if is_begin:
                self.has_begun.set()
            if hasattr(message, "synced"):
                return
        for reader in self.readers:
            reader.put(message)

    def _end(self, last: AdminError | None) -> None:
        self.is_over = True
        self.has_begun.set()
        for reader in self.readers:
            reader.put(last)


class Pumps:
    """The streams that clients read."""

    def __init__(self) -> None:
        """Begins without streams."""
        self._pumps: dict[tuple[str, bytes], _Pump] = {}
        self._is_closed = False

    async def join(
        self, key: tuple[str, bytes], open_stream: Callable[[Call], Iterator[Message]], reader: Reader
    ) -> None:
        """Adds a reader to the stream of a request, which is opened for the first one; returns once it has begun.

        Raises:
            AdminError: Too many different requests are followed, by this caller or in all.
        """
        own = {name for name, pump in self._pumps.items() if any(one.caller == reader.caller for one in pump.readers)}
        if len(own - {key}) >= MOST_OF_CALLER:
            message = f"you follow {MOST_OF_CALLER} different streams already; end one"
            raise AdminError(grpc.StatusCode.RESOURCE_EXHAUSTED, message, reason="STREAMS")
        pump = self._pumps.get(key)
        if pump is None or pump.is_over:
            if self._is_closed or len(self._pumps) >= _MOST_PUMPS:
                message = f"{_MOST_PUMPS} different streams are open already; try again"
                raise AdminError(grpc.StatusCode.RESOURCE_EXHAUSTED, message, reason="STREAMS")
            pump = self._pumps[key] = _Pump(open_stream, asyncio.get_running_loop())
        pump.readers.add(reader)
        await pump.has_begun.wait()

    def leave(self, key: tuple[str, bytes], reader: Reader) -> None:
        """Removes a reader; a stream without readers ends."""
        pump = self._pumps.get(key)
        if pump is None:
            return
        pump.readers.discard(reader)
        if not pump.readers:
            pump.call.ended.set()
            del self._pumps[key]

    def close(self) -> None:
        """Ends all streams; may be called on any thread."""
        self._is_closed = True
        for pump in list(self._pumps.values()):
            pump.call.ended.set()
