"""A listener under uvicorn, with bounds on its connections, on the event loop of its own thread.

Imported when the first listener starts: decisions do not wait for these libraries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from callgate.control import logs
from callgate.control.port.connections import Connections

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from starlette.types import ASGIApp
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

    from callgate.control.port.connections import Connection

_SILENCE_S: Final = 10.0
"""Longest silence of a connection, so that slow clients cannot keep connections forever."""

_LAST_ANSWERS_S: Final = 0.5
"""Longest wait at the end for requests that are being answered."""

_TURNS: Final = 10
"""Turns of the event loop from the acceptance of a connection to a short answer, and some more."""

_REFUSED_PAUSE_S: Final = 0.1
_DATE_S: Final = 1.0
_LONGEST_HEAD_BYTES: Final = 64 << 10


class Server(uvicorn.Server):
    """A server of one listening socket."""

    def __init__(
        self,
        listener: socket.socket,
        application: ASGIApp,
        *,
        most_connections: int,
        admits: Callable[[socket.socket], bool],
        certificate: Callable[[], ssl.SSLContext | None],
    ) -> None:
        """Takes a listening socket; `admits` looks at each connection, `certificate` is read for each one."""
        _log_errors()
        config = uvicorn.Config(
            # Its types and starlette's say the same in other words.
            cast("Any", application),
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            headers=[("server", "callgate")],
            timeout_keep_alive=int(_SILENCE_S),
            h11_max_incomplete_event_size=_LONGEST_HEAD_BYTES,
        )
        super().__init__(config)
        self.connections = Connections(most_connections)
        self._listener = listener
        self._admits = admits
        self._certificate = certificate
        self._stopping = asyncio.Event()
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Ends `serve`; for the thread of the event loop."""
        self.should_exit = True
        self._stopping.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  the base class's
        """Begins to accept. The base class would accept as many at once as wait, whatever the bound."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: _log_failure(context.get("exception") or context["message"]))
        await self.on_tick(0)
        self._accepting = loop.create_task(self._accept())
        self.started = True

    async def main_loop(self) -> None:
        """Keeps the date of answers, until `stop`."""
        while not self._stopping.is_set():
            now = formatdate(time.time(), usegmt=True).encode()
            self.server_state.default_headers = [(b"date", now), *self.config.encoded_headers]
            try:
                await asyncio.wait_for(self._stopping.wait(), _DATE_S)
            except asyncio.TimeoutError:
                continue

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  the base class's
        """Accepts no more; waits shortly for the last answers."""
        if self._accepting is not None:
            self._accepting.cancel()
        self._listener.close()
        for protocol in list(self.server_state.connections):
            protocol.shutdown()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_LAST_ANSWERS_S)
        self.connections.close_all()
        for task in (*self.server_state.tasks, *self._handshakes):
            task.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError:
                # Out of file descriptors: the connection waits, and so does this.
                await asyncio.sleep(_REFUSED_PAUSE_S)
                continue
            if not self._admits(accepted):
                accepted.close()
                continue
            if self.connections.is_full(accepted):
                # Requests of earlier connections are answered first, so that a crowd is not refused.
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
            connection = self.connections.add(accepted)
            handshake = loop.create_task(self._connect(connection))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)

    async def _connect(self, connection: Connection) -> None:
        certificate = self._certificate()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Protocol(self, connection),
                connection.socket,
                ssl=certificate,
                ssl_handshake_timeout=None if certificate is None else _SILENCE_S,
            )
        except OSError:
            # Not TLS, or gone meanwhile.
            connection.socket.close()
            self.connections.close(connection)


class _Protocol(H11Protocol):
    """HTTP/1.1 on one connection, which ends after a silence."""

    def __init__(self, server: Server, connection: Connection) -> None:
        super().__init__(server.config, server.server_state, {"connection": connection})
        self._connections = server.connections
        self._connection = connection
        self._active_s = self.loop.time()
        self._silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.transport = cast("asyncio.Transport", transport)
        super().connection_made(self._connection.transport)
        self._silence = self.loop.call_later(_SILENCE_S, self._look)
        if self._connection.is_closed:
            self._connection.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._silence is not None:
            self._silence.cancel()
        self._connections.close(self._connection)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._active_s = self.loop.time()
        super().data_received(data)

    def pause_writing(self) -> None:
        self._active_s = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._active_s = self.loop.time()
        super().resume_writing()

    def on_response_complete(self) -> None:
        self._active_s = self.loop.time()
        super().on_response_complete()

    def _look(self) -> None:
        """Closes the connection if its client has been silent for too long."""
        # None before the first request, whatever its type says.
        cycle: RequestResponseCycle | None = self.cycle
        is_working = cycle is not None and not cycle.response_complete and not cycle.more_body
        if is_working and not self.flow.write_paused:
            self._active_s = self.loop.time()
        left_s = self._active_s + _SILENCE_S - self.loop.time()
        if left_s <= 0:
            self._connection.close()
        else:
            self._silence = self.loop.call_later(left_s, self._look)


class _Failures(logging.Handler):
    """Errors of uvicorn as events of callgate."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        _log_failure(error or record.getMessage().strip())


def _log_failure(error: object) -> None:
    if not isinstance(error, OSError):  # a client that went away
        logs.log("error", "admin_request_failed", {"error": error if isinstance(error, str) else repr(error)})


def _log_errors() -> None:
    """Passes on errors alone: faults of clients would fill the log."""
    logger = logging.getLogger("uvicorn.error")
    logger.handlers[:] = [_Failures()]
    logger.setLevel(logging.ERROR)
    logger.propagate = False
