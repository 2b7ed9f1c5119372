"""Logins at issuers: the way there and back in a browser, `callgate login`, and logouts that issuers ask for."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from callgate.admin.http.callers import source_of
from callgate.admin.http.errors import RequestError, request_error
from callgate.admin.http.forms import read_form
from callgate.admin.http.work import Turns
from callgate.admin.page.targets import local_target
from callgate.admin.page.templates import page
from callgate.approvals.sections import seen
from callgate.approvals.times import instant
from callgate.errors import CallgateError
from callgate.identity.errors import IdentityError, LoginError
from callgate.identity.oidc.attempt import LONGEST_S
from callgate.identity.oidc.issuers import CALLBACK
from callgate.store.sessions import IDLE_US

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from callgate.admin.http.callers import Callers
    from callgate.identity.identities import Identities
    from callgate.identity.oidc.issuers import Issuers

START: Final = "/login/issuer"
"""The beginning of the path at which a browser begins a login."""

BACK_CHANNEL: Final = "/login/backchannel"
"""The path at which issuers ask for logouts."""

ISSUERS: Final = "/login/issuers"
"""The path at which `callgate login` finds the issuers."""

EXCHANGE: Final = "/login/id-token"
"""The path at which `callgate login` gets a session for an ID token."""

_AT_ONCE: Final = 4
"""Logins at issuers at once: an issuer that hangs holds up nobody who logs in with a password."""

_LOGOUTS_AT_ONCE: Final = 2
_LONGEST_QUERY: Final = 8_192


class IssuerLoginPages:
    """The pages and answers of logins at issuers."""

    def __init__(self, callers: Callers, identities: Identities, issuers: Issuers, public_url: str) -> None:
        """Takes the senders of requests, the identities, the issuers, and the URL of the port for browsers."""
        self._callers = callers
        self._identities = identities
        self._issuers = issuers
        self._public_url = public_url
        self._turns = Turns(_AT_ONCE)
        self._logouts = Turns(_LOGOUTS_AT_ONCE)

    def routes(self) -> list[BaseRoute]:
        """The routes of logins at issuers."""
        return [
            Route(ISSUERS, self._list, methods=["GET"]),
            Route(f"{START}/{{key}}", self._begin, methods=["GET"]),
            Route(CALLBACK, self._finish, methods=["GET"]),
            Route(EXCHANGE, self._exchange, methods=["POST"]),
            Route(BACK_CHANNEL, self._log_out, methods=["POST"]),
        ]

    def links(self, target: str) -> list[tuple[str, str]]:
        """The label and the path of each issuer for the log-in page."""
        query = urlencode({"next": target})
        return [(seen(one.label), f"{START}/{one.key}?{query}") for one in self._issuers.choices()]

    async def _begin(self, request: Request) -> Response:
        self._callers.check_private()
        key, target = request.path_params["key"], local_target(request.query_params.get("next", ""))
        is_fresh = request.query_params.get("fresh") == "1"
        if request.headers.get("Host", "") != urlsplit(self._public_url).netloc:
            # The cookie of the login is for the name to which the issuer sends the browser back.
            query = urlencode({"next": target, **({"fresh": "1"} if is_fresh else {})})
            return _to(f"{self._public_url}{START}/{key}?{query}")
        try:
            url, attempt = await self._callers.run(
                request, self._turns, lambda: self._issuers.begin(key, target, is_fresh=is_fresh)
            )
        except LoginError as error:
            return _failed(error)
        response = _to(url)
        is_secure = request.url.scheme == "https"
        response.set_cookie(
            _cookie(request),
            attempt.cookie(),
            max_age=LONGEST_S,
            path="/",
            secure=is_secure,
            httponly=True,
            # Strict ones do not come along when the issuer sends the browser back.
            samesite="lax",
        )
        return response

    async def _finish(self, request: Request) -> Response:
        self._callers.check_private()
        if request.method != "GET":
            # A look ahead must not use the code up.
            raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, "this page does not take this method", Allow="GET")
        given = request.query_params.multi_items()
        answer = dict(given)
        if len(answer) != len(given) or len(request.url.query) > _LONGEST_QUERY:
            raise RequestError(HTTPStatus.BAD_REQUEST, "the answer of the issuer has a field twice, or is too long")
        cookie, source = request.cookies.get(_cookie(request), ""), source_of(request)
        try:
            session, target = await self._callers.run(
                request, self._turns, lambda: self._identities.log_in_by_issuer(cookie, answer, source)
            )
        except IdentityError as error:
            response = _failed(error)
        else:
            # Led to by another site, the browser would not send the cookie of the session yet; from this page it does.
            response = page("again.html", HTTPStatus.OK, here=local_target(target))
            self._callers.remember(request, response, session)
        is_secure = request.url.scheme == "https"
        response.delete_cookie(_cookie(request), path="/", secure=is_secure, httponly=True, samesite="lax")
        return response

    async def _list(self, _: Request) -> Response:
        self._callers.check_private()
        return JSONResponse({"issuers": [one.document() for one in self._issuers.devices()]})

    async def _exchange(self, request: Request) -> Response:
        """A session for an ID token, for programs alone: a page could not know one."""
        self._callers.check_private()
        if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
            return _error(HTTPStatus.FORBIDDEN, "requests from web pages are refused")
        fields, source = await read_form(request), source_of(request)
        try:
            token, session = await self._callers.run(
                request, self._turns, lambda: self._identities.log_in_by_id_token(fields.get("id_token", ""), source)
            )
        except IdentityError as error:
            refusal = _refusal(error)
            return _error(refusal.status, str(error), **refusal.headers)
        person = session.person
        return JSONResponse(
            {
                "token": token,
                "person": {"issuer": person.issuer, "subject": person.subject},
                "name": "" if session.issued is None else session.issued.name,
                "expires": instant(session.expires_us),
                "idle_s": IDLE_US // 1_000_000,
            }
        )

    async def _log_out(self, request: Request) -> Response:
        """The logout that an issuer asks for (OpenID Connect Back-Channel Logout 1.0, 2.5 to 2.8)."""
        self._callers.check_private()
        fields, source = await read_form(request), source_of(request)
        text = fields.get("logout_token", "")
        try:
            await self._callers.run(request, self._logouts, lambda: self._identities.log_out_by_issuer(text, source))
        except IdentityError as error:
            return JSONResponse({"error": "invalid_request", "error_description": str(error)}, HTTPStatus.BAD_REQUEST)
        return Response(status_code=HTTPStatus.OK)


def _failed(error: IdentityError) -> Response:
    """The page of a login that failed: why, and what to do."""
    refusal = _refusal(error)
    text = str(error)
    response = page(
        "message.html",
        refusal.status,
        title="The login failed",
        kind="error",
        text=seen(f"{text[:1].upper()}{text[1:]}."),
        back="/login",
        back_text="Log in",
    )
    response.headers.update(refusal.headers)
    return response


def _refusal(error: CallgateError) -> RequestError:
    if isinstance(error, LoginError) and error.is_of_issuer:
        return RequestError(HTTPStatus.BAD_GATEWAY, str(error))
    return request_error(error)


def _error(status: HTTPStatus, message: str, **headers: str) -> Response:
    return JSONResponse({"error": message}, status, headers)


def _cookie(request: Request) -> str:
    return "__Host-callgate-login" if request.url.scheme == "https" else "callgate-login"


def _to(target: str) -> RedirectResponse:
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)
