"""The page on which people register their passkeys and remove them, and the script that asks a passkey."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from callgate.admin.http.errors import request_error
from callgate.admin.http.forms import TOKEN_FIELD, form_token
from callgate.admin.http.paths import PASSKEY_SCRIPT, PASSKEYS
from callgate.admin.http.work import in_thread
from callgate.admin.page.guard import ANSWER, READ, Guard
from callgate.admin.page.script import with_script
from callgate.admin.page.templates import page
from callgate.approvals.sections import seen
from callgate.approvals.times import instant
from callgate.errors import CallgateError
from callgate.identity.errors import PasskeyError
from callgate.identity.passkeys import PasskeyGuard, Purpose

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from callgate.admin.http.callers import Caller, Callers
    from callgate.identity.identities import Identities

FIELD: Final = "passkey"
"""The field of a form with the answer of a passkey."""

RECENT_US: Final = 600_000_000
"""Time since a login within which a passkey can be registered: a session that was stolen later makes none."""


class PasskeyPages:
    """The passkeys of the person who is logged in."""

    def __init__(self, callers: Callers, identities: Identities, guard: PasskeyGuard, public_url: str) -> None:
        """Takes the senders of requests, the identities, the passkeys, and the URL of the port for browsers."""
        self._callers = callers
        self._identities = identities
        self._guard = guard
        self.public_url = public_url
        """The URL of the port for browsers, for whose host passkeys are made."""

    def routes(self) -> list[BaseRoute]:
        """The routes of the page and its script."""
        guard = Guard(self._callers)
        return [
            Route(PASSKEY_SCRIPT, _script, methods=["GET"]),
            guard.get(PASSKEYS, READ, self._show),
            guard.post(PASSKEYS, ANSWER, self._register),
            guard.post(f"{PASSKEYS}/challenge", ANSWER, self._begin),
            guard.post(f"{PASSKEYS}/{{id}}/remove", READ, self._remove),
        ]

    def is_here(self, request: Request) -> bool:
        """True if the page has the name for which passkeys are made."""
        return request.headers.get("Host", "") == urlsplit(self.public_url).netloc

    async def challenge(self, caller: Caller, approval_id: str, kind: str, fields: dict[str, str]) -> Response:
        """The options with which a browser asks a passkey for an answer to an approval."""
        purpose = purpose_of(approval_id, kind, fields)
        return await _as_json(lambda: self._guard.begin(caller.principal, caller.session or "", purpose))

    def verify(self, caller: Caller, approval_id: str, kind: str, fields: dict[str, str]) -> str:
        """The passkey that has answered; blocks.

        Raises:
            PasskeyError: None has.
            StoreError: The store does not answer.
        """
        purpose = purpose_of(approval_id, kind, fields)
        return self._guard.verify(caller.principal, caller.session or "", purpose, fields.get(FIELD, ""))

    def has_passkey(self, caller: Caller) -> bool:
        """True if the person has a passkey; blocks.

        Raises:
            StoreError: The store does not answer.
        """
        return caller.principal.person is not None and bool(self._guard.of(caller.principal.person))

    async def _show(self, request: Request, caller: Caller) -> Response:
        return await self._shown(request, caller, HTTPStatus.OK, "")

    async def _begin(self, _request: Request, caller: Caller, _fields: dict[str, str]) -> Response:
        session = caller.session or ""

        def begin() -> str:
            self._check_recent(session)
            return self._guard.begin_registration(caller.principal, session)

        return await _as_json(begin)

    async def _register(self, request: Request, caller: Caller, fields: dict[str, str]) -> Response:
        session = caller.session or ""

        def register() -> None:
            self._check_recent(session)
            self._guard.register(
                caller.principal, session, fields.get(FIELD, ""), fields.get("name", ""), caller.source
            )

        return await self._changed(request, caller, register)

    async def _remove(self, request: Request, caller: Caller, _fields: dict[str, str]) -> Response:
        name = request.path_params["id"]
        return await self._changed(request, caller, lambda: self._guard.remove(caller.principal, name, caller.source))

    async def _changed(self, request: Request, caller: Caller, change: Callable[[], None]) -> Response:
        try:
            await in_thread(change)
        except CallgateError as error:
            return await self._shown(request, caller, request_error(error).status, seen(error))
        return RedirectResponse(PASSKEYS, HTTPStatus.SEE_OTHER)

    def _check_recent(self, session: str) -> None:
        """Refuses a person who has not just logged in.

        Raises:
            PasskeyError: They have not.
        """
        if not self._is_recent(session):
            message = "log in anew to register a passkey: your last login was more than 10 minutes ago"
            raise PasskeyError(message)

    def _is_recent(self, session: str) -> bool:
        age_us = self._identities.login_age_us(session)
        return age_us is not None and age_us <= RECENT_US

    async def _shown(self, request: Request, caller: Caller, status: HTTPStatus, error: str) -> Response:
        person, session = caller.principal.person, caller.session or ""

        def read() -> tuple[list[dict[str, str]], bool]:
            own = [] if person is None else self._guard.of(person)
            rows = [
                {
                    "id": one.id,
                    "name": seen(one.name),
                    "made": instant(one.made_us),
                    "used": "never" if one.used_us is None else instant(one.used_us),
                }
                for one in own
            ]
            return rows, self._is_recent(session)

        rows, is_recent = await in_thread(read)
        shown = page(
            "passkeys.html",
            status,
            caller=seen(caller.principal.title),
            token=form_token(session),
            has_passkeys=True,
            rows=rows,
            error=error,
            is_recent=is_recent,
            log_in=self._log_in(session),
            elsewhere=None if self.is_here(request) else f"{self.public_url}{PASSKEYS}",
            script=PASSKEY_SCRIPT,
            challenge=f"{PASSKEYS}/challenge",
        )
        return with_script(shown)

    def _log_in(self, session: str) -> str:
        """The path of a login anew, at the issuer of the session if it has one."""
        query = urlencode({"next": PASSKEYS, "fresh": "1"})
        key = self._identities.issuer_of_session(session)
        return f"/login?{urlencode({'next': PASSKEYS})}" if key is None else f"/login/issuer/{key}?{query}"


def purpose_of(approval_id: str, kind: str, fields: dict[str, str]) -> Purpose:
    """The answer that a form gives, without what differs between the question and the answer of the passkey."""
    meant = {name: value for name, value in fields.items() if name not in {FIELD, TOKEN_FIELD}}
    return Purpose(approval_id, kind, meant)


async def _as_json(make: Callable[[], str]) -> Response:
    try:
        content = await in_thread(make)
    except CallgateError as error:
        refusal = request_error(error)
        return JSONResponse({"error": str(error)}, refusal.status, dict(refusal.headers))
    return Response(content, media_type="application/json")


async def _script(_: Request) -> Response:
    return Response(files("callgate.admin.page").joinpath("passkey.js").read_bytes(), media_type="text/javascript")
