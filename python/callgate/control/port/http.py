"""The admin HTTP port, and the thread on which a listener is served."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from callgate.control import logs
from callgate.control.failures import unexpected
from callgate.control.port.pages import Origin

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from callgate.control.port.address import BoundAddress
    from callgate.control.port.listener import Server
    from callgate.control.port.pages import Pages

_MOST_CONNECTIONS: Final = 160
"""Highest number of open connections, enough for a hundred who follow approvals. A new connection beyond it closes
another one, operators' last."""

_STOP_S: Final = 5.0
"""Longest wait for the thread at the end."""

_RETRY_S: Final = 1.0
"""Pause before the server is started again after an error."""


class AdminServer:
    """The admin HTTP server; answers on its own thread until it is stopped."""

    def __init__(self, bound: BoundAddress, pages: Pages, *, certificate: ssl.SSLContext | None = None) -> None:
        """Takes the bound address; `start` begins to answer, over TLS with a certificate."""
        self.certificate = certificate
        """The certificate of the next connections; None for none at all."""
        self.address = str(bound)
        """The bound address."""
        self._listening = Listening(
            bound.listener,
            pages,
            Origin(
                is_socket=False,
                is_loopback=bound.is_loopback,
                is_private=bound.is_loopback or certificate is not None,
            ),
            name="callgate-admin",
            most_connections=_MOST_CONNECTIONS,
            certificate=lambda: self.certificate,
        )

    def start(self) -> None:
        """Starts to answer."""
        self._listening.start()

    def stop(self) -> None:
        """Closes the port."""
        self._listening.stop()


class Listening:
    """A listener whose event loop runs on a thread of its own."""

    def __init__(
        self,
        listener: socket.socket,
        pages: Pages,
        origin: Origin,
        *,
        name: str,
        most_connections: int,
        admits: Callable[[socket.socket], bool] = lambda _: True,
        certificate: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        """Takes a listening socket, and the name of the thread; `admits` looks at each connection."""
        self._listener = listener
        self._pages = pages
        self._origin = origin
        self._most_connections = most_connections
        self._admits = admits
        self._certificate = certificate
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._stopping = Event()
        self._running: tuple[asyncio.AbstractEventLoop, Server] | None = None

    def start(self) -> None:
        """Starts to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Closes the listener."""
        self._stopping.set()
        # The thread looks at `_stopping` once more after it has set this.
        if self._running is not None and self._thread.is_alive():
            loop, server = self._running
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(server.stop)
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)
        self._listener.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._serve())
            except Exception as error:  # noqa: BLE001, PERF203  such as no file descriptors for the libraries
                logs.log("error", "admin_port_failed", {"error": unexpected(error)})
                self._stopping.wait(_RETRY_S)

    async def _serve(self) -> None:
        # Decisions are made before these libraries are there.
        from callgate.control.port.face import Face  # noqa: PLC0415
        from callgate.control.port.listener import Server  # noqa: PLC0415

        face = Face(self._pages, self._origin)
        server = Server(
            self._listener,
            face,
            most_connections=self._most_connections,
            admits=self._admits,
            certificate=self._certificate,
        )
        face.connections = server.connections
        self._running = asyncio.get_running_loop(), server
        if not self._stopping.is_set():
            await server.serve()
