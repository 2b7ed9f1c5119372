"""The open connections of a listener, with bounds; for the thread of its event loop alone."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate._callgate import descriptor_limit

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROOM_PATIENCE_S: Final = 2.0
"""Longest wait of an operator's request for room among those of other operators."""

_ROOM_CHECK_S: Final = 0.1
_FEW: Final = 64
"""Highest number of open connections where few file descriptors are left."""

_LEAST: Final = 4
"""Likewise under the lowest limit of file descriptors."""


@dataclass(eq=False)
class Connection:
    """One connection and its use."""

    socket: socket.socket
    transport: asyncio.Transport | None = None
    """None until TLS is agreed."""
    is_answered: bool = False
    """True while a request is being answered, false while the next one is awaited."""
    is_operator: bool = False
    """True once it has carried a request of somebody who may ask for the routes of operators."""
    is_closed: bool = False
    """True once it was closed, by its client or to make room; the work on its last request may go on."""

    @property
    def worth(self) -> tuple[bool, bool]:
        """The order in which connections are closed, the least first."""
        return self.is_operator, self.is_answered

    def close(self) -> None:
        """Closes the connection at once, without the unsent rest: its client may not read."""
        self.is_closed = True
        if self.transport is not None:
            self.transport.abort()
            return
        # In the middle of a handshake, which then fails.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Connections:
    """The connections, oldest first.

    Nobody without the right to ask can end an operator's stream, and no operator's request can stop the others from
    being answered: at most all but one of the connections are operators'. A request of an operator counts until the
    work on it has ended, because it may occupy a thread longer than its connection is open.
    """

    def __init__(self, most: int) -> None:
        """Takes the highest number of open connections."""
        self._most = most
        self._connections: dict[Connection, None] = {}
        self._changed = asyncio.Event()

    def is_full(self, accepted: socket.socket) -> bool:
        """True if a new one takes the place of another one."""
        return len(self._open()) >= min(self._most, _most_by_descriptors(accepted))

    def add(self, accepted: socket.socket) -> Connection:
        """Adds a connection; if there is no room, closes another one first."""
        if self.is_full(accepted):
            _close_one(self._open())
        connection = Connection(accepted)
        self._connections[connection] = None
        return connection

    def close(self, connection: Connection) -> None:
        """Records that a connection is closed."""
        connection.is_closed = True
        if not connection.is_answered:
            self._remove(connection)

    def begin(self, connection: Connection) -> None:
        """Records that the work on a request begins."""
        connection.is_answered = True

    def end(self, connection: Connection) -> None:
        """Records that the work on a request has ended."""
        connection.is_answered = False
        if connection.is_closed:
            self._remove(connection)

    async def is_admitted(self, connection: Connection) -> bool:
        """Makes a connection an operator's; closes another operator's if they have too many.

        Returns false if there is no room for it in time.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + _ROOM_PATIENCE_S
        while not connection.is_operator and not connection.is_closed:
            operators = [one for one in self._connections if one.is_operator]
            if len(operators) < self._most - 1:
                connection.is_operator = True
            elif loop.time() >= end:
                return False
            else:
                # One at a time: what was closed may be slow to end, such as a request that waits for a disk.
                if not any(one.is_closed for one in operators):
                    _close_one(operators)
                self._changed.clear()
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _ROOM_CHECK_S)
        return connection.is_operator

    def close_all(self) -> None:
        """Closes all of them."""
        for connection in list(self._connections):
            connection.close()

    def _open(self) -> list[Connection]:
        return [connection for connection in self._connections if not connection.is_closed]

    def _remove(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._changed.set()


def _most_by_descriptors(accepted: socket.socket) -> int:
    """The number of connections for which the process has file descriptors.

    Where few are left, it is at most half of those that the data plane leaves free, because reloads need the others.
    The system assigns the lowest free number, so all lower ones were in use when it was assigned.
    """
    found = descriptor_limit()
    if found is None:
        return sys.maxsize
    limit, reserved = found
    if accepted.fileno() < limit - 2 * reserved:
        return sys.maxsize
    return max(_LEAST, min(_FEW, reserved // 2))


def _close_one(connections: Iterable[Connection]) -> None:
    """Closes the oldest connection of the least important kind: one that is being answered may be stalled."""
    min(connections, key=lambda connection: connection.worth).close()
