"""The pages as an ASGI application: bodies with bounds, and work that blocks on threads."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from http import HTTPStatus
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Received
from starlette.responses import Response

from callgate.control import logs
from callgate.control.pages import LARGEST_BODY_BYTES, Answer, Request, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from starlette.types import Receive, Scope, Send

    from callgate.control.connections import Connection, Connections
    from callgate.control.pages import Origin, Pages

_T = TypeVar("_T")

_SLOW: Final = frozenset({"/metrics"})
"""Pages for everybody that are made on a thread."""

_MOST_SLOW: Final = 4
"""Of those, how many are made at once."""

_LENGTH_DIGITS: Final = 9
"""Most digits of a length that is read; more are too long in any case."""


class Face:
    """The pages of one sidecar behind one listener."""

    connections: Connections
    """Those of the listener, set before the first request."""

    def __init__(self, pages: Pages, origin: Origin) -> None:
        """Takes the pages and the listener over which requests come."""
        self._pages = pages
        self._origin = origin
        self._slow = asyncio.Semaphore(_MOST_SLOW)

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
        request = Request(scope["method"], scope["raw_path"].decode("latin-1"), headers)
        has_body = "Content-Length" in headers or "Transfer-Encoding" in headers
        answer = await self._for_everybody(connection, request)
        if answer is None:
            body = await self._body(connection, scope, receive)
            has_body = has_body and not isinstance(body, bytes)
            answer = body if isinstance(body, Answer) else await in_thread(lambda: self._pages.routed(request, body))
        lines = answer.lines
        fields = {"Content-Type": answer.content_type, "Cache-Control": "no-store", **answer.headers}
        if has_body or lines is not None:
            # What was not read would be taken for the next request; lines end with the connection.
            fields["Connection"] = "close"
        if lines is None:
            await Response(answer.body, answer.status, fields)(scope, receive, send)
        else:
            await self._stream(connection, lines, _start(answer.status, fields), send)

    async def _for_everybody(self, connection: Connection, request: Request) -> Answer | None:
        if request.path not in _SLOW:
            return self._pages.answer(request, self._origin)
        async with self._slow:
            if connection.is_closed:
                raise ClientDisconnect
            return await in_thread(lambda: self._pages.answer(request, self._origin))

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


async def in_thread(function: Callable[[], _T]) -> _T:
    """The result of a function that may block, on a thread that does not keep the process alive.

    The threads of executors do: the interpreter waits for each of them at its end.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001  raised where it is awaited
            settle(_fail, done, error)
        else:
            settle(_succeed, done, result)

    def settle(how: Callable[..., None], *arguments: object) -> None:
        # The loop has ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(how, *arguments)

    Thread(target=run, name="callgate-admin-work", daemon=True).start()
    return await done


def _succeed(done: asyncio.Future[_T], result: _T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[_T], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)


def _start(status: HTTPStatus, fields: dict[str, str]) -> dict[str, Any]:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    return {"type": "http.response.start", "status": int(status), "headers": headers}
