"""Streams of the API as server-sent events."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from callgate.admin.calls.authorise import authorise
from callgate.admin.calls.call import Call
from callgate.admin.calls.errors import AdminError
from callgate.admin.calls.fields import check_fields
from callgate.admin.http.work import Turns
from callgate.admin.rest.answers import document, status_document
from callgate.admin.rest.pumps import Pumps, Reader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from google.protobuf.message import Message
    from starlette.types import Receive, Send

    from callgate.admin.calls.open_streams import OpenStreams
    from callgate.admin.calls.registry import RegisteredMethod
    from callgate.identity.principal import Principal

EVENTS: Final = "text/event-stream"
_BEAT_S: Final = 15.0
"""Longest silence of a stream; a comment shows that it goes on, and the caller is looked up anew."""

_POLL_S: Final = 2.0
"""Time between two looks at an answer that is followed."""

_BEGINNINGS_AT_ONCE: Final = 4
"""Beginnings of streams, such as all pending approvals, that are read at once."""

_RESUMPTIONS_AT_ONCE: Final = 32
"""Streams that go on where they broke off: each has a thread of its own until it has come to the present."""

_BYTES_AT_ONCE: Final = 65_536
"""Bytes of a beginning after which they are sent: each time, the thread that reads it waits for the loop."""

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Proxies that collect answers would hold events back.
    (b"x-accel-buffering", b"no"),
    (b"connection", b"close"),
]


class Events:
    """All streams of server-sent events of one port."""

    def __init__(self, open_streams: OpenStreams) -> None:
        """Takes the streams of all faces."""
        self._open_streams = open_streams
        self._pumps = Pumps()
        self._beginnings = Turns(_BEGINNINGS_AT_ONCE)
        self._resumptions = Turns(_RESUMPTIONS_AT_ONCE)

    def close(self) -> None:
        """Ends all streams; may be called on any thread."""
        self._pumps.close()

    async def follow(
        self,
        method: RegisteredMethod,
        principal: Principal,
        request: Message,
        call: Call,
        last_id: str,
        is_known: Callable[[], Awaitable[bool]],
        check: Callable[[], None],
        receive: Receive,
        send: Send,
    ) -> None:
        """Sends the events of a method until the client goes, or is not known any more.

        Args:
            method: The method, a stream, or one whose answer is followed.
            principal: The caller.
            request: The request.
            call: Its circumstances; `ended` is set at the end.
            last_id: The id of the last event that the client has, from a stream that has broken off; or nothing.
            is_known: Tells whether the caller is known still.
            check: Raises an `AdminError` or a `CallgateError` if the caller may not any more; blocks.
            receive: Of the request, whose body was read.
            send: Of the request.

        Raises:
            AdminError: The caller may not, or the request is not valid; nothing was sent.
        """
        authorise(principal, method.rights)
        if last_id and hasattr(request, "resume_token"):
            request.resume_token = last_id
        check_fields(request)
        stream = _Stream(method, principal, request, call, send)
        shared = type(request)()
        shared.CopyFrom(request)
        has_beginning = hasattr(shared, "resume_token")
        if has_beginning:
            shared.ClearField("resume_token")
        key, reader = (method.name, shared.SerializeToString(deterministic=True)), Reader(principal.name)
        gone = asyncio.create_task(_gone(receive))
        gone.add_done_callback(lambda _: call.ended.set())
        loop = asyncio.get_running_loop()

        def end(fault: AdminError) -> None:
            call.ended.set()
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(reader.put, fault)

        try:
            with self._open_streams.checked(check, end):
                await self._pumps.join(key, lambda ended: _opened(method, principal, shared, ended), reader)
                if has_beginning or not method.is_stream:
                    turns = self._resumptions if stream.is_resumed else self._beginnings
                    await turns.run(stream.begin, is_wanted=lambda: not gone.done())
                await stream.start()
                await self._forward(stream, reader, gone, is_known)
        finally:
            call.ended.set()
            gone.cancel()
            self._pumps.leave(key, reader)

    async def _forward(
        self, stream: _Stream, reader: Reader, gone: asyncio.Task[None], is_known: Callable[[], Awaitable[bool]]
    ) -> None:
        loop = asyncio.get_running_loop()
        check_at_s = loop.time() + _BEAT_S
        while not gone.done():
            taking = asyncio.ensure_future(reader.waiting.get())
            left_s = max(check_at_s - loop.time(), 0)
            await asyncio.wait({taking, gone}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            is_silent = not taking.done()
            if is_silent:
                taking.cancel()
                with suppress(asyncio.CancelledError):
                    await taking
            else:
                item = taking.result()
                await stream.send(item)
                if item is None or isinstance(item, AdminError):
                    return
                # A stream that is never silent ends too when the time of its session or token is over.
                if loop.time() < check_at_s:
                    continue
            if gone.done() or not await is_known():
                await stream.end()
                return
            check_at_s = loop.time() + _BEAT_S
            if is_silent:
                await stream.beat()


class _Stream:
    """The events of one client."""

    def __init__(
        self, method: RegisteredMethod, principal: Principal, request: Message, call: Call, send: Send
    ) -> None:
        self._method = method
        self._principal = principal
        self._request = request
        self._call = call
        self._send = send
        self._sent: set[str] = set()
        self._unsent = bytearray()
        self._has_begun = False
        self._loop = asyncio.get_running_loop()
        self.is_resumed = bool(getattr(request, "resume_token", ""))
        """True for a stream that goes on where another one broke off."""

    def begin(self) -> None:
        """Sends the beginning, which is the client's own: all that is there, or what has changed since its last id.

        To be called on a thread; its fault comes before the first byte, so that it is an answer of its own.
        """
        if not self._method.is_stream:
            self._keep(self._method.run(self._principal, self._request, self._call), is_last=True)
            return
        for message in self._method.stream(self._principal, self._request, self._call):
            is_synced = bool(getattr(message, "synced"))  # noqa: B009  of any message
            # What has changed since an id may be followed by silence; before the present there is none.
            self._keep(message, is_last=is_synced or self.is_resumed)
            # One that is resumed says nothing when it has come to the present, but a sign of life, some time later.
            if is_synced if not self.is_resumed else not is_synced and not _has_content(message):
                self._call.ended.set()
                return

    async def start(self) -> None:
        """Sends the header, unless it was sent."""
        if not self._has_begun:
            self._has_begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            await self._write(b": begin\n\n")

    async def send(self, item: Message | AdminError | None) -> None:
        """Sends a message; or an error or None, which is the end."""
        if isinstance(item, AdminError):
            await self._write(_event("error", "", status_document(item)))
        if item is None or isinstance(item, AdminError):
            await self.end()
            return
        name = _id(item)
        if _has_content(item) and not (name and name in self._sent):
            await self._write(_event("", name, document(item)))

    async def beat(self) -> None:
        """Shows that the stream goes on."""
        await self._write(b": beat\n\n")

    async def end(self) -> None:
        """Ends the answer."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def _keep(self, message: Message, *, is_last: bool) -> None:
        """Sends a message of the beginning, as fast as the client reads; with others unless it is the last one."""
        if not _has_content(message) and not getattr(message, "synced", False):
            return
        self._sent.add(_id(message))
        self._unsent += _event("", _id(message), document(message))
        if not is_last and len(self._unsent) < _BYTES_AT_ONCE:
            return
        data, self._unsent = bytes(self._unsent), bytearray()

        async def forward() -> None:
            await self.start()
            await self._write(data)

        asyncio.run_coroutine_threadsafe(forward(), self._loop).result()


def _opened(method: RegisteredMethod, principal: Principal, request: Message, call: Call) -> Iterator[Message]:
    """The stream for all readers of a request; an answer that is no stream is looked at again and again."""
    if method.is_stream:
        yield from method.stream(principal, request, call)
        return
    last: Message | None = None
    while not call.ended.is_set():
        answer = method.run(principal, request, Call(call.source))
        if answer != last:
            yield answer
        last = answer
        call.ended.wait(_POLL_S)


def _has_content(message: Message) -> bool:
    """False for a message that only shows that a stream goes on."""
    return any(field.name not in {"resume_token", "synced"} for field, _ in message.ListFields())


def _id(message: Message) -> str:
    return str(getattr(message, "resume_token", ""))


def _event(name: str, event_id: str, content: dict[str, Any]) -> bytes:
    lines = [f"event: {name}"] if name else []
    if event_id:
        lines.append(f"id: {event_id}")
    # JSON of one line.
    lines.append(f"data: {json.dumps(content)}")
    return ("\n".join(lines) + "\n\n").encode()


async def _gone(receive: Receive) -> None:
    """Returns once the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def new_call(source: str) -> Call:
    """The circumstances of a request."""
    return Call(source=source, ended=Event())
