"""Pages by which people log in and out."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from callgate.admin.http.errors import LogInError, RequestError, request_error
from callgate.admin.http.forms import check_origin, is_of_this_page, read_form
from callgate.admin.page.guard import Guard
from callgate.admin.page.targets import HOME, local_target
from callgate.admin.page.templates import page
from callgate.identity.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from callgate.admin.http.callers import Caller, Callers

_LONGEST: Final = 1_000
"""Characters of a name, a password or a link."""


class LoginPages:
    """Log-in by password or one-time link, and log-out."""

    def __init__(self, callers: Callers, issuer_links: Callable[[str], list[tuple[str, str]]] = lambda _: []) -> None:
        """Takes the senders of requests, and gives issuers' labels and paths for the page after the login."""
        self._callers = callers
        self._issuer_links = issuer_links

    def routes(self) -> list[BaseRoute]:
        """The routes of these pages."""
        return [
            Route("/", lambda _: _to(HOME), methods=["GET"]),
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/login/once", self._log_in_once, methods=["POST"]),
            Guard(self._callers).post("/logout", None, self._log_out),
            Route("/logout/token", self._log_out_program, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        """The form, or that of a one-time link: a preview of the link, which only reads it, does not use it up."""
        self._callers.check_private()
        if "once" in request.query_params:
            return page("once.html", HTTPStatus.OK, once=request.query_params["once"][:_LONGEST], error="")
        return self._form(HTTPStatus.OK, local_target(request.query_params.get("next", "")))

    async def _log_in(self, request: Request) -> Response:
        self._callers.check_private()
        check_origin(request)
        fields = await read_form(request)
        name, password, target = (fields.get(key, "") for key in ("name", "password", "next"))
        if max(len(name), len(password)) > _LONGEST:
            raise RequestError(HTTPStatus.BAD_REQUEST, "the name or the password is too long")
        try:
            session = await self._callers.log_in(request, name, password)
        except IdentityError as error:
            refusal = request_error(error)
            return self._form(refusal.status, local_target(target), error=str(error), headers=refusal.headers)
        return self._enter(request, session, local_target(target))

    async def _log_in_once(self, request: Request) -> Response:
        self._callers.check_private()
        check_origin(request)
        fields = await read_form(request)
        try:
            session = await self._callers.log_in_once(request, fields.get("once", "")[:_LONGEST])
        except IdentityError as error:
            refusal = request_error(error)
            shown = page("once.html", refusal.status, once="", error=str(error))
            shown.headers.update(refusal.headers)
            return shown
        return self._enter(request, session, HOME)

    def _form(
        self, status: HTTPStatus, target: str, *, error: str = "", headers: Mapping[str, str] | None = None
    ) -> Response:
        # Without the name that was typed: it may be a password in the wrong field.
        shown = page("login.html", status, next=target, error=error, issuers=self._issuer_links(target))
        shown.headers.update(headers or {})
        return shown

    def _enter(self, request: Request, session: str, target: str) -> Response:
        response = _to(target)
        self._callers.remember(request, response, session)
        return response

    async def _log_out(self, request: Request, caller: Caller, _fields: dict[str, str]) -> Response:
        if caller.session is not None:
            await self._callers.log_out(request, caller.session)
        response = _to("/login")
        self._callers.forget(request, response)
        return response

    async def _log_out_program(self, request: Request) -> Response:
        """Ends the session whose token a program sends."""
        caller = await self._callers.of(request)
        if caller.session is not None or caller.principal.person is None:
            raise RequestError(HTTPStatus.FORBIDDEN, "expected the token of a session as `Authorization: Bearer`")
        await self._callers.log_out(request, caller.token)
        return JSONResponse({})


def log_in_first(request: Request, error: LogInError) -> Response:
    """The answer to somebody who has to log in before they see a page."""
    if request.method not in {"GET", "HEAD"}:
        return page(
            "message.html",
            error.status,
            title="Log in",
            kind="error",
            text="You are not logged in, or not any more; nothing was changed.",
            back="/login",
            back_text="Log in",
        )
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("Sec-Fetch-Site") == "cross-site" and not is_of_this_page(request):
        # The browser sends no cookie along a link of another site. It does when this page leads to itself.
        return page("again.html", HTTPStatus.OK, here=here)
    return _to(f"/login?next={quote(here, safe='')}")


def _to(target: str) -> RedirectResponse:
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)
