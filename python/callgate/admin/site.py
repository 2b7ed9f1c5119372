"""The pages and the API of an open store, as one ASGI application."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from callgate.admin.http.callers import Callers
from callgate.admin.http.errors import LogInError, RequestError, request_error
from callgate.admin.page.approvals import ApprovalPages
from callgate.admin.page.login import LoginPages, log_in_first
from callgate.admin.page.templates import page, style
from callgate.admin.paths import API, STYLE
from callgate.errors import CallgateError
from callgate.identity.identities import unix_us

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from callgate.identity.identities import Identities
    from callgate.store.model import Person
    from callgate.store.store import Store

HEADERS: Final = {
    # No script at all. `frame-ancestors` is against clickjacking, `form-action` against forms that lead elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Header fields of every answer."""


def make_site(
    store: Store,
    identities: Identities,
    *,
    is_private: bool,
    clock_us: Callable[[], int] = unix_us,
    owner_of: Callable[[str], Person | None] = lambda _: None,
    api: Callable[[Callers], Sequence[BaseRoute]] = lambda _: (),
) -> ASGIApp:
    """The site of an open store.

    Args:
        store: The store.
        identities: Those of the store.
        is_private: True if nobody on the way reads requests: over TLS or on loopback.
        clock_us: The time in Unix microseconds.
        owner_of: The present owner of a grant.
        api: Makes the routes of the API.
    """
    callers = Callers(identities, is_private=is_private)
    routes: list[BaseRoute] = [
        Route(STYLE, _style, methods=["GET"]),
        *LoginPages(callers).routes(),
        *ApprovalPages(store, callers, clock_us, owner_of).routes(),
        *api(callers),
    ]
    handlers: dict[Any, Any] = {CallgateError: _refuse, HTTPException: _refuse_path}
    application = Starlette(routes=routes, exception_handlers=handlers)
    application.router.redirect_slashes = False

    async def site(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await application(scope, receive, with_headers)

    return site


async def _style(_: Request) -> Response:
    return Response(style(), media_type="text/css")


def _refuse(request: Request, error: CallgateError) -> Response:
    if isinstance(error, LogInError) and not request.url.path.startswith(API):
        return log_in_first(request, error)
    return _refusal(request, request_error(error))


def _refuse_path(request: Request, error: HTTPException) -> Response:
    texts = {404: "there is no such page", 405: "this page does not take this method"}
    message = texts.get(error.status_code, error.detail)
    return _refusal(request, RequestError(HTTPStatus(error.status_code), message, **(error.headers or {})))


def _refusal(request: Request, error: RequestError) -> Response:
    response: Response
    if request.url.path.startswith(API):
        response = JSONResponse({"error": str(error)}, error.status)
    else:
        text = str(error)
        response = page(
            "message.html",
            error.status,
            title=error.status.phrase,
            kind="error",
            text=text,
            back="/approvals",
            back_text="All that wait",
        )
    response.headers.update(error.headers)
    return response
