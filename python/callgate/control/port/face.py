"""The pages as an ASGI application: bodies with bounds, and work that blocks on threads."""

from __future__ import annotations

import asyncio
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Received
from starlette.responses import Response

from callgate.admin.http.work import Turns, in_thread
from callgate.control import logs
from callgate.control.port.pages import LARGEST_BODY_BYTES, Answer, Request, refusal

if TYPE_CHECKING:
    from collections.abc import Generator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from callgate.control.port.connections import Connection, Connections
    from callgate.control.port.pages import Origin, Pages

_SLOW: Final = frozenset({"/metrics"})
"""Pages for everybody that are made on a thread."""

_MOST_SLOW: Final = 4
"""Of those, how many are made at once."""

_LENGTH_DIGITS: Final = 9
"""Most digits of a length that is read; more are too long in any case."""


class Face:
    """The pages of one sidecar behind one listener."""

    connections: Connections
    """The connections of the listener, set before the first request."""

    def __init__(self, pages: Pages, origin: Origin) -> None:
        """Takes the pages and the listener over which requests come."""
        self._pages = pages
        self._origin = origin
        self._slow = Turns(_MOST_SLOW)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        connection: Connection = scope["state"]["connection"]
        self.connections.begin(connection)
        try:
            await self._answer(connection, scope, receive, send)
        except ClientDisconnect:
            connection.close()
        except Exception as error:  # noqa: BLE001  whatever it is: the next request is answered
            logs.log("error", "admin_request_failed", {"error": repr(error)})
            connection.close()
        finally:
            self.connections.end(connection)

    async def _answer(self, connection: Connection, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        source = scope["client"][0] if scope.get("client") else ""
        request = Request(scope["method"], scope["raw_path"].decode("latin-1"), headers, source)
        has_body = "Content-Length" in headers or "Transfer-Encoding" in headers
        if "Content-Length" in headers and "Transfer-Encoding" in headers:
            # A proxy in front may have taken the body for another length (RFC 9112, 6.1).
            await _refuse_lengths(scope, receive, send)
            return
        site = self._pages.site_of(request, self._origin)
        if site is not None:
            scope["state"]["admit"] = lambda: self.connections.is_admitted(connection)
            await _with_body_read(site, scope, receive, send)
            return
        answer = await self._for_everybody(connection, request)
        if answer is None:
            body = await self._body(connection, scope, receive)
            has_body = has_body and not isinstance(body, bytes)
            answer = body if isinstance(body, Answer) else await in_thread(lambda: self._pages.routed(request, body))
        lines = answer.lines
        fields = {"Content-Type": answer.content_type, "Cache-Control": "no-store", **answer.headers}
        if has_body or lines is not None:
            # An unread body would be taken for the next request; lines end with the connection.
            fields["Connection"] = "close"
        if lines is None:
            await Response(answer.body, answer.status, fields)(scope, receive, send)
        else:
            await self._stream(connection, lines, _start(answer.status, fields), send)

    async def _for_everybody(self, connection: Connection, request: Request) -> Answer | None:
        if request.path not in _SLOW:
            return self._pages.answer(request, self._origin)
        made = await self._slow.run(
            lambda: (self._pages.answer(request, self._origin),), is_wanted=lambda: not connection.is_closed
        )
        if made is None:
            raise ClientDisconnect
        return made[0]

    async def _body(self, connection: Connection, scope: Scope, receive: Receive) -> bytes | Answer:
        """The body of a request of an operator, or the refusal to read it."""
        if not await self.connections.is_admitted(connection):
            message = "too many requests of operators are being answered; try again"
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, message, **{"Retry-After": "1"})
        headers = Headers(scope=scope)
        length = headers.get("Content-Length", "0")
        if "Transfer-Encoding" in headers or not (length.isascii() and length.isdigit()):
            return refusal(HTTPStatus.LENGTH_REQUIRED, "expected a body with its `Content-Length`")
        if len(length) > _LENGTH_DIGITS or int(length) > LARGEST_BODY_BYTES:
            message = f"the body is longer than {LARGEST_BODY_BYTES} bytes"
            return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        return await Received(scope, receive).body()

    async def _stream(
        self, connection: Connection, lines: Generator[bytes, None, None], start: dict[str, Any], send: Send
    ) -> None:
        """Sends lines as they are made. The connection counts until their thread has ended."""
        loop = asyncio.get_running_loop()
        await send(start)

        async def forward(line: bytes) -> bool:
            await send({"type": "http.response.body", "body": line, "more_body": True})
            return not connection.is_closed

        def run() -> None:
            with closing(lines):
                for line in lines:
                    sent = asyncio.run_coroutine_threadsafe(forward(line), loop)
                    if not sent.result():
                        return

        await in_thread(run)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _refuse_lengths(scope: Scope, receive: Receive, send: Send) -> None:
    answer = refusal(HTTPStatus.BAD_REQUEST, "expected either `Content-Length` or `Transfer-Encoding`")
    fields = {"Content-Type": answer.content_type, "Cache-Control": "no-store", "Connection": "close"}
    await Response(answer.body, answer.status, fields)(scope, receive, send)


async def _with_body_read(site: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Calls the site; closes the connection after an answer to a request whose body it has not read."""
    headers = Headers(scope=scope)
    is_left = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers

    async def receiving() -> Message:
        nonlocal is_left
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            is_left = False
        return message

    async def sending(message: Message) -> None:
        if is_left and message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    await site(scope, receiving, sending)


def _start(status: HTTPStatus, fields: dict[str, str]) -> dict[str, Any]:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    return {"type": "http.response.start", "status": int(status), "headers": headers}
