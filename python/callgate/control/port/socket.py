"""The control socket: a Unix socket in the state folder, for this user and root."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate.config.locks import locked
from callgate.config.state import CONTROL_NAME, make_state_folder
from callgate.control.port.http import Listening
from callgate.control.port.pages import Origin
from callgate.errors import ConfigError
from callgate.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.control.port.pages import Pages

_MOST_CONNECTIONS: Final = 32
"""More than there may be listeners, so that one too many is refused by the data plane and closes no other one."""

_LONGEST_PATH: Final = 107
"""Bytes of a path that the system takes for a Unix socket."""
CREDENTIALS: Final = struct.Struct("3i")


@dataclass(frozen=True)
class _Bound:
    """The socket file, which must not be mistaken for another one of its name."""

    path: Path
    device: int
    inode: int

    def remove(self) -> None:
        with suppress(OSError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == (self.device, self.inode):
                self.path.unlink()


class ControlSocket:
    """The control socket of one sidecar; answers on its own thread until it is stopped."""

    def __init__(self, state: Path, pages: Pages) -> None:
        """Creates ``control.sock`` in the state folder; replaces the one that a killed sidecar has left.

        Raises:
            ConfigError: It cannot be created, or a running sidecar has it.
        """
        self.path = state / CONTROL_NAME
        self._made_folder = not state.exists()
        try:
            make_state_folder(state)
            listener, self._bound = _bind(self.path)
        except OSError as error:
            reason = reason_of(error)
            message = f"cannot create the control socket `{self.path}`: {reason}; name another folder with --state"
            raise ConfigError(message) from None
        self._listening = Listening(
            listener,
            pages,
            Origin(is_socket=True, is_loopback=False, is_private=True),
            name="callgate-control",
            most_connections=_MOST_CONNECTIONS,
            admits=_is_admitted,
        )

    def start(self) -> None:
        """Starts to answer."""
        self._listening.start()

    def stop(self) -> None:
        """Removes the socket, and the folder if it was made for the socket alone; closes it."""
        self._bound.remove()
        if self._made_folder:
            with suppress(OSError):
                self.path.parent.rmdir()
        self._listening.stop()


def _is_admitted(connection: socket.socket) -> bool:
    """Admits this user and root. The file's mode says the same, but is not heeded by every system."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    _, uid, _ = CREDENTIALS.unpack(credentials)
    return uid in {0, os.geteuid()}


def _bind(path: Path) -> tuple[socket.socket, _Bound]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    refusal = f"another process has locked the state folder `{path.parent}`, so no control socket is made"
    try:
        # Held until the socket listens, so that nobody takes one that does not listen yet for one that nobody uses.
        with locked(path.parent, refusal) as folder, reachable(path, folder) as name:
            _make_room(path, name)
            listener.bind(name)
            # Nobody can connect before it listens, so nobody gets in before the mode is set.
            path.chmod(0o600)
            made = os.lstat(path)
            listener.listen()
            listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener, _Bound(path, made.st_dev, made.st_ino)


def _make_room(path: Path, name: str) -> None:
    """Removes the socket that a killed sidecar has left."""
    if _is_used(name):
        message = (
            f"another sidecar has the control socket `{path}`, so `callgate status` and the like reach that one; give "
            "each sidecar a folder of its own with --state (key `state`)"
        )
        raise ConfigError(message)
    if path.is_socket():
        path.unlink()


@contextmanager
def reachable(path: Path, folder: int | None = None) -> Iterator[str]:
    """A name of a socket that the system takes, also if its path is too long: by way of its folder's descriptor."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if folder is None else folder
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        if folder is None:
            os.close(handle)


def _is_used(name: str) -> bool:
    """True if a process listens on a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(name)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            # Its queue is full, or it belongs to another user: somebody has it.
            return True
    return True
