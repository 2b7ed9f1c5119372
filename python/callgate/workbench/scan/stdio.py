"""MCP servers as programs: bounded messages, a bounded tail of stderr, and an end with the whole process group."""

from __future__ import annotations

import os
import signal
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import mcp_types as types
from mcp.shared.message import SessionMessage

from callgate.text import quoted, reason_of
from callgate.workbench.scan.errors import ListingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import ByteReceiveStream, Process
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams

    from callgate.workbench.scan.capture import Capture
    from callgate.workbench.scan.target import StdioTarget

_INHERITED: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
"""The variables that clients of MCP let their servers inherit, and those of the language and of temporary files."""
_STDERR_BYTES: Final = 8 << 10
_STRAY_BYTES: Final = 8 << 10
_GRACE_S: Final = 1.0
"""Time to end by itself after its input was closed, and again after SIGTERM."""
_POLL_S: Final = 0.01
_GONE: Final = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream, ConnectionError)


def environment_of(target: StdioTarget) -> dict[str, str]:
    """The environment of the program: a few variables of this process, and those of the target."""
    # A value that begins so is a function of the shell.
    own = {name: value for name in _INHERITED if (value := os.environ.get(name)) and not value.startswith("()")}
    return {**own, **target.environment}


class Tail:
    """The last bytes that a program wrote to stderr."""

    def __init__(self) -> None:
        """Begins without any."""
        self._content = b""
        self._is_cut = False

    def add(self, chunk: bytes) -> None:
        """Adds what came."""
        content = self._content + chunk
        self._is_cut |= len(content) > _STDERR_BYTES
        self._content = content[-_STDERR_BYTES:]

    def text(self) -> str:
        """The text without a line whose beginning is lost: a part of a secret would not be recognized."""
        content = self._content.partition(b"\n")[2] if self._is_cut else self._content
        return content.decode(errors="replace")


@dataclass
class Traces:
    """The facts about a program that its messages do not have."""

    stderr: Tail = field(default_factory=Tail)
    stray_lines: int = 0
    """Lines of its output that are no JSON-RPC messages."""
    first_stray: bytes = b""
    """The first of them, or its beginning."""
    is_stray_cut: bool = False
    """True if it was longer."""
    end: str = "ended"
    """The way in which it ended, as the verb of a sentence."""

    def add_stray(self, line: bytes) -> None:
        """Adds a line of its output; blank ones are left out."""
        if not line.strip():
            return
        self.stray_lines += 1
        if self.stray_lines == 1:
            self.first_stray = line[:_STRAY_BYTES]
            self.is_stray_cut = len(line) > _STRAY_BYTES


@asynccontextmanager
async def stdio_transport(target: StdioTarget, capture: Capture, traces: Traces) -> AsyncIterator[TransportStreams]:
    """A running program, and the streams of its messages.

    Raises:
        ListingError: It cannot be started.
    """
    try:
        process = await anyio.open_process(
            list(target.command), env=environment_of(target), cwd=target.folder, start_new_session=True
        )
    except (OSError, ValueError) as error:
        message = f"{quoted(target.command[0])} cannot be started: {reason_of(error)}"
        if target.folder is not None and not target.folder.is_dir():
            # The system says of both that there is no such file.
            message = f"it cannot be started in {quoted(str(target.folder))}: there is no such folder"
        raise ListingError(message) from None
    received, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, to_send = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with anyio.create_task_group() as tasks, received, read, write, to_send:
            tasks.start_soon(_read, process, received, capture, traces)
            tasks.start_soon(_write, process, to_send)
            tasks.start_soon(_keep, process, traces.stderr)
            try:
                yield read, write
            finally:
                with anyio.CancelScope(shield=True):
                    await _end(process)
                tasks.cancel_scope.cancel()
    finally:
        # What it has started may live on, even if it has ended itself.
        _signal(process, signal.SIGKILL)
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def _read(
    process: Process, received: MemoryObjectSendStream[SessionMessage | Exception], capture: Capture, traces: Traces
) -> None:
    assert process.stdout is not None  # noqa: S101  it was opened with pipes
    async with received:
        with suppress(*_GONE):
            async for line in _lines(process.stdout, capture, traces):
                capture.read(line)
                try:
                    message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError as error:
                    # Perhaps a greeting, where only messages belong: the SDK goes on.
                    traces.add_stray(line)
                    await received.send(error)
                else:
                    await received.send(SessionMessage(message))
        # Before the SDK hears of it, because it then ends the program.
        await _wait(process)
        traces.end = _end_of(process.returncode)


def _end_of(returncode: int | None) -> str:
    if returncode is None:
        return "closed its output"
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"


async def _lines(stream: ByteReceiveStream, capture: Capture, traces: Traces) -> AsyncIterator[bytes]:
    """The lines, each within the bounds."""
    limit = capture.bounds.message_bytes
    parts = list[bytes]()
    size = 0
    try:
        while True:
            chunk = await stream.receive()
            capture.count(len(chunk))
            *ended, rest = chunk.split(b"\n")
            for line in ended:
                yield b"".join((*parts, line))
                parts, size = [], 0
            parts.append(rest)
            size += len(rest)
            if size > limit:
                raise capture.fail(f"it sent a message larger than {limit >> 20} MiB")
    finally:
        # A line without an end, such as a question to a person.
        traces.add_stray(b"".join(parts))


async def _write(process: Process, to_send: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None  # noqa: S101  it was opened with pipes
    with suppress(*_GONE):
        async for item in to_send:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            await process.stdin.send(f"{text}\n".encode())


async def _keep(process: Process, tail: Tail) -> None:
    assert process.stderr is not None  # noqa: S101  it was opened with pipes
    with suppress(*_GONE):
        while True:
            tail.add(await process.stderr.receive())


async def _end(process: Process) -> None:
    """Closes the program's input, then ends its process group."""
    if process.stdin is not None:
        with suppress(*_GONE, OSError):
            await process.stdin.aclose()
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None:
            _signal(process, number)
        await _wait(process)
        if process.returncode is not None:
            return


async def _wait(process: Process) -> None:
    """Waits for the end of a program, for some time."""
    with anyio.move_on_after(_GRACE_S):
        # `wait` also waits for the ends of pipes, which what it has started may hold open.
        while process.returncode is None:  # noqa: ASYNC110  nothing tells of the end alone
            await anyio.sleep(_POLL_S)


def _signal(process: Process, number: signal.Signals) -> None:
    # INVARIANT: the group's id is the program's own, because it was started in a session of its own.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
