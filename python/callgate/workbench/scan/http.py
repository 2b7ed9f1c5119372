"""MCP servers over HTTP: streamable HTTP or the older SSE, with bounded replies."""

from __future__ import annotations

import re
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from callgate.errors import ConfigError
from callgate.text import quoted, reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mcp.client._transport import TransportStreams

    from callgate.workbench.scan.capture import Capture
    from callgate.workbench.scan.target import HttpTarget

_STREAM: Final = "text/event-stream"
_CONNECT_S: Final = 10.0
_BREAK: Final = re.compile(rb"\r\n|\n|\r")


@asynccontextmanager
async def http_transport(target: HttpTarget, capture: Capture) -> AsyncIterator[TransportStreams]:
    """The streams of a server over streamable HTTP."""
    limit = capture.bounds.message_bytes
    async with (
        httpx2.AsyncClient(**_settings(target, capture)) as client,
        streamable_http_client(target.url, http_client=client, max_sse_event_size=limit) as (read, write),
    ):
        yield read, write


@asynccontextmanager
async def sse_transport(target: HttpTarget, capture: Capture) -> AsyncIterator[TransportStreams]:
    """The streams of a server over HTTP with SSE, the transport of MCP 2024-11-05."""

    def client(
        headers: dict[str, str] | None = None,  # noqa: ARG001  those of the target count
        timeout: httpx2.Timeout | None = None,  # noqa: ARG001  likewise
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(auth=auth, **_settings(target, capture))

    async with sse_client(target.url, httpx_client_factory=client) as (read, write):
        yield read, write


def _settings(target: HttpTarget, capture: Capture) -> dict[str, Any]:
    seconds = capture.bounds.seconds
    return {
        "headers": dict(target.headers),
        "timeout": httpx2.Timeout(seconds, connect=min(_CONNECT_S, seconds)),
        "transport": _Bounded(target, capture),
    }


def _context(target: HttpTarget) -> ssl.SSLContext:
    if target.ca is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=target.ca.decode("ascii", "replace"))
    except ssl.SSLError as error:
        message = f"the authorities for {quoted(target.name)} cannot be read: {reason_of(error)}"
        raise ConfigError(message) from None


def _proxy(url: str) -> str | None:
    """The proxy that this machine's settings name for a URL."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


class _Bounded(httpx2.AsyncBaseTransport):
    """Requests whose replies are counted and noted."""

    def __init__(self, target: HttpTarget, capture: Capture) -> None:
        self._inner = httpx2.AsyncHTTPTransport(verify=_context(target), proxy=_proxy(target.url))
        self._capture = capture

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # A small compressed body may become one of any size.
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if request.method != "DELETE":
            self._capture.status = response.status_code
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            await response.aclose()
            raise self._capture.fail(f"it compressed its reply ({quoted(encoding)}), though it was asked not to")
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  that of an asynchronous transport
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        stream = _Noted(response.stream, kind, self._capture)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Noted(httpx2.AsyncByteStream):
    """A body that is counted, and whose messages are noted, before the SDK reads it."""

    def __init__(self, stream: httpx2.AsyncByteStream, kind: str, capture: Capture) -> None:
        self._stream = stream
        self._capture = capture
        self._events = Events(capture.read) if kind == _STREAM else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = bytearray()
        limit = self._capture.bounds.message_bytes
        async for chunk in self._stream:
            self._capture.count(len(chunk))
            if self._events is not None:
                self._events.feed(chunk)
                size = self._events.size
            else:
                body += chunk
                size = len(body)
            if size > limit:
                raise self._capture.fail(f"it sent a message larger than {limit >> 20} MiB")
            yield chunk
        if body and self._capture.status is not None and self._capture.status < 300:  # noqa: PLR2004  a success
            self._capture.read(bytes(body))

    async def aclose(self) -> None:
        await self._stream.aclose()


class Events:
    """The data of server-sent events, in pieces of any size."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        """Takes what is called with the data of each event."""
        self._take = take
        self._parts = list[bytes]()
        self._data = list[bytes]()
        self._kind = b""
        self._after_return = False
        self.size = 0
        """Bytes of the event that has begun."""

    def feed(self, chunk: bytes) -> None:
        """Takes the next piece."""
        if self._after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if not chunk:
            return
        self._after_return = chunk.endswith(b"\r")
        *ended, rest = _BREAK.split(chunk)
        for part in ended:
            line = b"".join((*self._parts, part))
            self._parts = []
            self._line(line)
        if rest:
            self._parts.append(rest)
        self.size += len(rest)

    def _line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if line and name == b"data":
            self._data.append(value.removeprefix(b" "))
            self.size = sum(map(len, self._data))
        if line and name == b"event":
            self._kind = value.removeprefix(b" ")
        if line:
            return
        data = b"\n".join(self._data)
        # Events without data only tell their id.
        if data and self._kind in (b"", b"message"):
            self._take(data)
        self._data = []
        self._kind = b""
        self.size = 0
