"""The senders of requests on the admin port: people by a session's cookie, machines by a bearer token."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from callgate.admin.http.errors import LogInError, RequestError
from callgate.admin.http.forms import check_origin
from callgate.admin.http.work import Turns
from callgate.errors import CallgateError
from callgate.identity.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from callgate.identity.identities import Identities
    from callgate.identity.principal import Principal

_T = TypeVar("_T")

_AT_ONCE: Final = 8
"""Look-ups of tokens and sessions at once, for everybody who sends one."""

_LOGINS_AT_ONCE: Final = 4
"""Logins at once, beside the look-ups, so that guessing holds up nobody who has logged in."""

_SAFE: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Caller:
    """The sender of a request."""

    principal: Principal
    source: str
    """The address of the client."""
    token: str = field(repr=False)
    """The token that was sent, of a machine or a session."""
    session: str | None = field(default=None, repr=False)
    """The token of a session that came as a cookie; None for one in the header."""


class Callers:
    """Tells who sends requests."""

    def __init__(self, identities: Identities, *, is_private: bool) -> None:
        """Takes the identities; `is_private` if nobody on the way reads requests: over TLS or on loopback."""
        self._identities = identities
        self._is_private = is_private
        self._turns = Turns(_AT_ONCE)
        self._logins = Turns(_LOGINS_AT_ONCE)

    async def of(self, request: Request) -> Caller:
        """The sender of a request. One with a cookie that changes something must come from a page of this port.

        Raises:
            RequestError: Nobody is known to have sent it, it can be read on its way, or there is no room for another
                request.
            StoreError: The store does not answer.
        """
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return await self.of_session(request)
        self.check_private()
        # Pages cannot send it, unless a page of another origin was told the token.
        if "Origin" in request.headers:
            raise RequestError(HTTPStatus.FORBIDDEN, "requests from web pages come with a session, not with a token")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise LogInError("expected `Authorization: Bearer` with a token of `callgate admin tokens create`")
        try:
            principal = await self.run(
                request, self._turns, lambda: self._identities.of_bearer(token.strip(), source_of(request))
            )
        except IdentityError as error:
            raise LogInError(str(error)) from None
        await self._admit(request)
        return Caller(principal, source_of(request), token.strip())

    async def of_session(self, request: Request) -> Caller:
        """The person of a session.

        Raises:
            LogInError: The request has no session.
            RequestError: It changes something and comes from another page, or there is no room for another request.
            StoreError: The store does not answer.
        """
        session = request.cookies.get(self.cookie(request))
        if not session:
            raise LogInError("log in first")
        self.check_private()
        if request.method not in _SAFE:
            check_origin(request)
        try:
            source = source_of(request)
            principal = await self.run(request, self._turns, lambda: self._identities.of_session(session, source))
        except IdentityError as error:
            raise LogInError(str(error)) from None
        await self._admit(request)
        return Caller(principal, source_of(request), session, session)

    async def is_known(self, request: Request) -> bool:
        """True if the sender of a request that was admitted still is known; false too while the store is silent."""
        session = request.cookies.get(self.cookie(request), "")
        token = request.headers.get("Authorization", "").partition(" ")[2].strip()
        try:
            if token:
                await self.run(request, self._turns, lambda: self._identities.of_bearer(token))
            else:
                await self.run(request, self._turns, lambda: self._identities.of_session(session))
        except CallgateError:
            return False
        return True

    def principal(self, caller: Caller) -> Principal:
        """The sender of a request as it is known now; blocks.

        Raises:
            IdentityError: It is not known any more.
            StoreError: The store does not answer.
        """
        return self._identities.of_bearer(caller.token)

    async def log_in(self, request: Request, name: str, password: str) -> str:
        """A session by name and password.

        Raises:
            IdentityError: They are wrong, or guessing is slowed.
            StoreError: The store does not answer.
        """
        return await self.run(
            request, self._logins, lambda: self._identities.log_in(name, password, source_of(request))
        )

    async def log_in_once(self, request: Request, token: str) -> str:
        """A session by a one-time link.

        Raises:
            IdentityError: It does not work, or guessing is slowed.
            StoreError: The store does not answer.
        """
        return await self.run(request, self._logins, lambda: self._identities.of_once(token, source_of(request)))

    async def log_out(self, request: Request, session: str) -> None:
        """Ends a session.

        Raises:
            StoreError: The store does not answer.
        """
        await self.run(request, self._turns, lambda: self._identities.log_out(session))

    def check_private(self) -> None:
        """Refuses passwords, sessions and tokens where others can read them.

        Raises:
            RequestError: The port has no TLS, and others reach it.
        """
        if not self._is_private:
            message = (
                "passwords, sessions and tokens are taken over TLS or on loopback alone; give the port a certificate "
                "(`admin.tls`)"
            )
            raise RequestError(HTTPStatus.FORBIDDEN, message)

    def cookie(self, request: Request) -> str:
        """The name of the cookie. With `__Host-`, no other host and no page without TLS can set it."""
        return "__Host-callgate" if request.url.scheme == "https" else "callgate"

    def remember(self, request: Request, response: Response, session: str) -> None:
        """Gives a session to the browser."""
        is_secure = request.url.scheme == "https"
        response.set_cookie(self.cookie(request), session, path="/", secure=is_secure, httponly=True, samesite="strict")

    def forget(self, request: Request, response: Response) -> None:
        """Takes the session from the browser."""
        is_secure = request.url.scheme == "https"
        response.delete_cookie(self.cookie(request), path="/", secure=is_secure, httponly=True, samesite="strict")

    @staticmethod
    async def run(request: Request, turns: Turns, function: Callable[[], _T]) -> _T:
        """The result of a function that blocks, in its turn.

        Raises:
            RequestError: The connection was closed meanwhile.
        """
        connection = request.scope["state"]["connection"]
        found = await turns.run(lambda: (function(),), is_wanted=lambda: not connection.is_closed)
        if found is None:
            raise RequestError(HTTPStatus.REQUEST_TIMEOUT, "the connection was closed")
        return found[0]

    @staticmethod
    async def _admit(request: Request) -> None:
        """Keeps the connection open longer than those of others, if there is room."""
        if not await request.scope["state"]["admit"]():
            message = "too many requests of operators are being answered; try again"
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, message, **{"Retry-After": "1"})


def source_of(request: Request) -> str:
    """The address of the client, without its port."""
    return "" if request.client is None else request.client.host
