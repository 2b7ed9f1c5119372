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
from callgate.admin.http.paths import API, OPENAPI, STYLE
from callgate.admin.page.approvals import ApprovalPages
from callgate.admin.page.login import LoginPages, log_in_first
from callgate.admin.page.templates import page, style
from callgate.admin.rest.face import FOLLOWED, RestFace
from callgate.admin.rest.openapi import openapi
from callgate.clock import now_us
from callgate.errors import CallgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from callgate.admin.calls.registry import Registry
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


class Site:
    """The site of an open store."""

    def __init__(
        self,
        store: Store,
        identities: Identities,
        *,
        is_private: bool,
        clock_us: Callable[[], int] = now_us,
        owner_of: Callable[[str], Person | None] = lambda _: None,
        registry: Registry | None = None,
        public_url: str = "",
        has_passkeys: bool = False,
    ) -> None:
        """Takes an open store.

        Args:
            store: The store.
            identities: Those of the store.
            is_private: True if nobody on the way reads requests: over TLS or on loopback.
            clock_us: The time in Unix microseconds.
            owner_of: The present owner of a grant.
            registry: The methods of the API; None for none.
            public_url: The URL of the port for browsers, for logins at the issuers of `identities` and for passkeys.
            has_passkeys: True if some approvals take a passkey.
        """
        callers = Callers(identities, is_private=is_private)
        self._rest = None if registry is None else RestFace(registry, callers)
        at_issuers = None
        if identities.issuers is not None:
            # Here, because it is imported where there are issuers alone.
            from callgate.admin.page.issuer_login import IssuerLoginPages  # noqa: PLC0415

            at_issuers = IssuerLoginPages(callers, identities, identities.issuers, public_url)
        passkeys = None
        if has_passkeys:
            # Likewise.
            from callgate.admin.page.passkeys import PasskeyPages  # noqa: PLC0415
            from callgate.identity.passkeys import PasskeyGuard  # noqa: PLC0415

            passkeys = PasskeyPages(callers, identities, PasskeyGuard(store, public_url, clock_us), public_url)
        handlers: dict[Any, Any] = {CallgateError: _refuse, HTTPException: _refuse_path}
        self._pages = Starlette(
            routes=[
                Route(STYLE, _style, methods=["GET"]),
                Route(OPENAPI, self._openapi, methods=["GET"]),
                *(() if at_issuers is None else at_issuers.routes()),
                *LoginPages(callers, (lambda _: []) if at_issuers is None else at_issuers.links).routes(),
                *(() if passkeys is None else passkeys.routes()),
                *ApprovalPages(store, callers, clock_us, owner_of, passkeys).routes(),
            ],
            exception_handlers=handlers,
        )
        self._pages.router.redirect_slashes = False

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """The routes of the pages; the API has its own."""
        return self._pages.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        is_api = self._rest is not None and scope["path"].startswith(API)
        application: ASGIApp = self._rest if is_api and self._rest is not None else self._pages
        await application(scope, receive, with_headers)

    def close(self) -> None:
        """Ends all streams; may be called on any thread."""
        if self._rest is not None:
            self._rest.events.close()

    async def _openapi(self, _: Request) -> Response:
        if self._rest is None:
            raise RequestError(HTTPStatus.NOT_FOUND, "there is no API here")
        return JSONResponse(openapi(self._rest.bindings, followed=FOLLOWED))


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
