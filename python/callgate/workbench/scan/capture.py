"""Replies to `tools/list` as the server sent them.

The SDK drops members that it does not know, rounds numbers, and refuses a whole page for one broken tool. Digests and
catalogues need each definition exactly, so that the bytes of replies are read here, and the SDK gets an empty page in
their place, from which it needs the cursor alone.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

from callgate.exact_json import read_json
from callgate.text import quoted
from callgate.workbench.scan.errors import ListingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from mcp.client._transport import ReadStream, TransportStreams, WriteStream
    from typing_extensions import Self

    from callgate.workbench.scan.target import Bounds

LIST = "tools/list"


class Capture:
    """The exact replies to open requests for lists, and the bounds of everything that a server sends."""

    def __init__(self, bounds: Bounds) -> None:
        """Takes the bounds."""
        self.bounds = bounds
        self.scope = anyio.CancelScope()
        """Cancelled when the server passes a bound."""
        self.failure: ListingError | None = None
        self.status: int | None = None
        """HTTP status of the last reply."""
        # Ids as text: some servers answer a number with its text, which the SDK takes.
        self._open = set[str]()
        self._ids = dict[str, types.RequestId]()
        self._results = dict[str, Any]()
        self._fault = "it came in no form that is known"
        self._page: Any = None
        self._bytes = 0

    def count(self, size: int) -> None:
        """Counts bytes of the server.

        Raises:
            ListingError: They are too many.
        """
        self._bytes += size
        if self._bytes > self.bounds.total_bytes:
            raise self.fail(f"it sent more than {self.bounds.total_bytes >> 20} MiB")

    def fail(self, message: str) -> ListingError:
        """Ends the listing; the first failure counts."""
        if self.failure is None:
            self.failure = ListingError(message)
        self.scope.cancel()
        return self.failure

    def sent(self, message: types.JSONRPCMessage) -> None:
        """Notes a request of the client before it is sent."""
        if isinstance(message, types.JSONRPCRequest) and message.method == LIST:
            self._open.add(str(message.id))
            self._ids[str(message.id)] = message.id

    def read(self, text: bytes | str) -> None:
        """Reads one whole message of the server, if a request for a list is open."""
        if not self._open:
            return
        try:
            message = read_json(text)
        except (ValueError, RecursionError) as error:
            # Perhaps no message at all: servers print greetings as well.
            self._fault = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
            return
        if isinstance(message, dict) and isinstance(key := message.get("id"), (int, str)) and "result" in message:
            self._results[str(key)] = message["result"]

    def received(self, message: types.JSONRPCMessage) -> types.JSONRPCMessage:
        """The message for the SDK: a reply to a request for a list becomes an empty page.

        Raises:
            ListingError: It can be read in two ways, or not at all.
        """
        if not isinstance(message, (types.JSONRPCResponse, types.JSONRPCError)):
            return message
        key = str(message.id)
        if key not in self._open:
            return message
        if isinstance(message, types.JSONRPCError) and key not in self._results:
            self._open.discard(key)
            return message
        if key not in self._results:
            raise self.fail(f"its list cannot be read: {quoted(self._fault)}")
        return self._empty(key)

    def unreadable(self) -> types.JSONRPCMessage | None:
        """The message in place of a reply that the SDK could not read, if it is one to a request for a list."""
        key = next((key for key in self._results if key in self._open), None)
        return None if key is None else self._empty(key)

    def _empty(self, key: str) -> types.JSONRPCMessage:
        self._open.discard(key)
        self._page = self._results.pop(key)
        page: dict[str, Any] = {"tools": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        return types.JSONRPCResponse(jsonrpc="2.0", id=self._ids.pop(key), result=page)

    def page(self) -> dict[str, Any]:
        """The page that came last.

        Raises:
            ListingError: It is no page.
        """
        page, self._page = self._page, None
        if not isinstance(page, dict) or not isinstance(page.get("tools"), list):
            message = f"its reply to `{LIST}` has no list `tools`"
            raise ListingError(message)
        return cast("dict[str, Any]", page)


@asynccontextmanager
async def captured(
    transport: AbstractAsyncContextManager[TransportStreams], capture: Capture
) -> AsyncIterator[TransportStreams]:
    """A transport whose messages pass by a capture."""
    async with transport as (read, write):
        yield _Reading(read, capture), _Writing(write, capture)


class _Reading:
    """A stream of messages of the server."""

    def __init__(self, stream: ReadStream[SessionMessage | Exception], capture: Capture) -> None:
        self._stream = stream
        self._capture = capture

    @property
    def last_context(self) -> Any:  # noqa: ANN401  as the SDK has it
        """The context of the sender, for the SDK."""
        return getattr(self._stream, "last_context", None)

    def _passed(self, item: SessionMessage | Exception) -> SessionMessage | Exception:
        if isinstance(item, SessionMessage):
            return SessionMessage(self._capture.received(item.message), item.metadata)
        message = self._capture.unreadable()
        return item if message is None else SessionMessage(message)

    async def receive(self) -> SessionMessage | Exception:
        return self._passed(await self._stream.receive())

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        return self._passed(await self._stream.__anext__())

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, value, trace)


class _Writing:
    """A stream of messages of the client."""

    def __init__(self, stream: WriteStream[SessionMessage], capture: Capture) -> None:
        self._stream = stream
        self._capture = capture

    async def send(self, item: SessionMessage, /) -> None:
        self._capture.sent(item.message)
        await self._stream.send(item)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, value, trace)
