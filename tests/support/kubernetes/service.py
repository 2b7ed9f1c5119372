"""A Service of the cluster: each new connection goes to one of the endpoints, and stays there until it ends."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, TypeAlias

from support.kubernetes.network import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from support.kubernetes.network import Network

Streams: TypeAlias = "tuple[asyncio.StreamReader, asyncio.StreamWriter]"
Connect: TypeAlias = "Callable[[], Awaitable[Streams]]"
_CHUNK = 64 << 10


class Service:
    """A running one. Endpoints may change at any time, and open connections are not touched by that."""

    def __init__(self, address: str, port: int, connect: Connect | None = None) -> None:
        self.address = address
        self.port = port
        self._connect = self._to_endpoint if connect is None else connect
        self.endpoints: list[str] = []
        """Addresses of ready pods."""
        self._next = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._listening = Event()
        self._loop = asyncio.new_event_loop()

    def run(self) -> None:
        """Forwards connections in this thread's network, until it is closed."""
        server = self._loop.run_until_complete(asyncio.start_server(self._forward, self.address, self.port))
        self._listening.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    def wait(self) -> None:
        """Waits until it listens."""
        assert self._listening.wait(PATIENCE_S)

    def close(self) -> None:
        """Ends it with all of its connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _end(self) -> None:
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _to_endpoint(self) -> Streams:
        # As with a rule of the kernel, a pod that is gone refuses the connection itself.
        endpoints = list(self.endpoints)
        self._next += 1
        return await asyncio.open_connection(endpoints[self._next % len(endpoints)], self.port)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        # The loop itself keeps no task alive.
        self._connections.add(connection)
        writers, pumps = [writer], list[asyncio.Task[None]]()
        try:
            to_reader, to_writer = await self._connect()
            writers.append(to_writer)
            pumps += [asyncio.ensure_future(_pump(reader, to_writer)), asyncio.ensure_future(_pump(to_reader, writer))]
            # The end of one direction is passed on, and the other goes on.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for one in writers:
                one.close()
            self._connections.discard(connection)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forwards one direction to its end, and then the end itself."""
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


@contextmanager
def running_service(network: Network, port: int, connect: Connect | None = None) -> Iterator[Service]:
    """A Service at the address of a network; `connect` leads somewhere else than to endpoints."""
    service = Service(network.address, port, connect)
    running = network.submit(service.run)
    try:
        service.wait()
        yield service
    finally:
        service.close()
        running.result(PATIENCE_S)
