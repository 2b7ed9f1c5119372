"""A TCP proxy of the tests' own before a port of loopback: it cuts, stalls, delays and refuses."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping

HOST = "127.0.0.1"
TIMEOUT_S = 30.0
_CHUNK = 64 << 10

_Result = TypeVar("_Result")


class TcpProxy:
    """A running proxy. All of its methods may be called from any thread, and have taken effect when they return."""

    def __init__(self, target_port: int, replaced: Mapping[bytes, bytes] | None = None) -> None:
        """Takes the port before which it is, and texts that it replaces in answers by others of the same length.

        A text that is divided between two chunks is not replaced: it is for short answers.
        """
        self.port = free_port()
        """Where it listens."""
        self.accepted = 0
        """Connections so far."""
        self._target_port = target_port
        self._replaced = {} if replaced is None else replaced
        self._latency_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._pairs: set[asyncio.Task[Any]] = set()
        # Each is set while its direction is forwarded.
        self._requests = asyncio.Event()
        self._answers = asyncio.Event()

    @property
    def url(self) -> str:
        """The URL of a Redis behind it."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        return self._do(self._count())

    def cut(self) -> None:
        """Ends every connection; new ones are accepted."""
        self._do(self._cut())

    def lead_to(self, target_port: int) -> None:
        """Ends every connection; new ones lead to another port."""
        self._target_port = target_port
        self.cut()

    def stall(self, *, requests: bool = True, answers: bool = True) -> None:
        """Accepts connections and bytes, and forwards nothing in these directions."""
        self._do(self._flow(requests=not requests, answers=not answers))

    def flow(self) -> None:
        """Forwards everything, also what came while it stalled."""
        self._do(self._flow(requests=True, answers=True))

    def delay(self, seconds: float) -> None:
        """Forwards bytes that come from now on so much later, in each direction."""
        self._do(self._delay(seconds))

    def refuse(self) -> None:
        """Ends every connection and refuses new ones."""
        self._do(self._refuse())

    def accept(self) -> None:
        """Accepts connections again."""
        self._do(self._accept())

    def start(self) -> None:
        """Starts it."""
        self._thread.start()
        self.flow()
        self.accept()

    def close(self) -> None:
        """Ends it."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)

    async def _count(self) -> int:
        return len(self._pairs)

    async def _flow(self, *, requests: bool, answers: bool) -> None:
        for event, flows in ((self._requests, requests), (self._answers, answers)):
            if flows:
                event.set()
            else:
                event.clear()

    async def _delay(self, seconds: float) -> None:
        self._latency_s = seconds

    async def _accept(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._begin, HOST, self.port)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _end(self) -> None:
        await self._refuse()
        # A connection that is being accepted has no pair yet, and its transport would stay open.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        # Transports close in the next turn of the loop.
        await asyncio.sleep(0)

    async def _cut(self) -> None:
        # One that was accepted just now has begun by then.
        await asyncio.sleep(0)
        pairs = list(self._pairs)
        for pair in pairs:
            pair.cancel()
        await asyncio.gather(*pairs, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards one connection on a task of its own."""
        pair = self._loop.create_task(self._serve(reader, writer))
        self._pairs.add(pair)
        self.accepted += 1
        pair.add_done_callback(self._pairs.discard)
        # Also of a task that is cancelled before it has begun.
        pair.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards one connection until either side ends it."""
        writers = [writer]
        try:
            with suppress(OSError):
                to_reader, to_writer = await asyncio.open_connection(HOST, self._target_port)
                writers.append(to_writer)
                pumps = [
                    asyncio.ensure_future(self._pump(reader, to_writer, self._requests, {})),
                    asyncio.ensure_future(self._pump(to_reader, writer, self._answers, self._replaced)),
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
        except asyncio.CancelledError:
            # By `cut`: the server's own callback would report it as a fault.
            pass
        finally:
            for one in writers:
                one.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        flows: asyncio.Event,
        replaced: Mapping[bytes, bytes],
    ) -> None:
        """Forwards one direction until its end, each chunk after the latency that held when it came."""
        chunks = asyncio.Queue[tuple[float, bytes]]()
        reading = asyncio.ensure_future(self._read(reader, chunks))
        try:
            while True:
                due, chunk = await chunks.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                await flows.wait()
                if not chunk:
                    return
                for old, new in replaced.items():
                    chunk = chunk.replace(old, new)
                writer.write(chunk)
                await writer.drain()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, bytes]]) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = await reader.read(_CHUNK)
            except OSError:
                chunk = b""
            await chunks.put((self._loop.time() + self._latency_s, chunk))


@contextmanager
def tcp_proxy(target_port: int, replaced: Mapping[bytes, bytes] | None = None) -> Iterator[TcpProxy]:
    """A proxy before a port of loopback, until the end of the block; see `TcpProxy` for `replaced`."""
    proxy = TcpProxy(target_port, replaced)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
