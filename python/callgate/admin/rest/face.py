"""The REST face of the admin API, as one ASGI application."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from callgate.admin.calls.authorise import authorise
from callgate.admin.calls.errors import AdminError, admin_error
from callgate.admin.http.errors import RequestError
from callgate.admin.http.forms import form_token, read_body
from callgate.admin.http.work import in_thread
from callgate.admin.rest.answers import JSON, answer, failure, refusal
from callgate.admin.rest.bindings import Bindings
from callgate.admin.rest.events import EVENTS, Events, new_call
from callgate.admin.rest.requests import make_request
from callgate.errors import CallgateError

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from callgate.admin.calls.registry import Registry
    from callgate.admin.http.callers import Caller, Callers
    from callgate.admin.rest.bindings import Match

LARGEST_BODY_BYTES: Final = 4 << 20
TOKEN_HEADER: Final = "X-Form-Token"  # noqa: S105  the name of a field
"""The header field with a form's token, for changes by a session's cookie."""

_SAFE: Final = frozenset({"GET", "HEAD"})
_OWN: Final = frozenset({"same-origin", "none"})
"""`Sec-Fetch-Site` of pages of this port, and of what a person opens."""

FOLLOWED: Final = "StatusService/"
"""The service whose answers can be followed as events, although they are no streams."""


class RestFace:
    """The methods of a registry over HTTP and JSON."""

    def __init__(self, registry: Registry, callers: Callers) -> None:
        """Takes the methods and the senders of requests.

        Raises:
            ValueError: The options of a method cannot be served.
        """
        self.bindings = Bindings(registry.methods.values())
        self.events = Events(registry.open_streams)
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        request = Request(scope, receive)
        is_conditional = "If-Match" in request.headers
        try:
            response = await self._answer(request, receive, send)
        except AdminError as error:
            response = failure(error, is_conditional=is_conditional)
        except RequestError as error:
            response = refusal(error)
        except CallgateError as error:
            response = failure(admin_error(error))
        if response is not None:
            await response(scope, receive, send)

    async def _answer(self, request: Request, receive: Receive, send: Send) -> Response | None:
        """The answer; None if it was sent already."""
        # First, so that nobody learns anything by faults of requests.
        caller = await self._callers.of(request)
        self._check_token(request, caller)
        match = self._match(request)
        # `run` asks again; here, faults of the path are for those alone who may call the method.
        authorise(caller.principal, match.binding.method.rights)
        is_followed = self._is_followed(request, match)
        body = await self._body(request)
        message = make_request(
            match,
            request.query_params.multi_items(),
            body,
            etag=request.headers.get("If-Match"),
            request_id=request.headers.get("Idempotency-Key"),
        )
        call = new_call(caller.source)
        method = match.binding.method
        if not is_followed:
            return answer(await in_thread(lambda: method.run(caller.principal, message, call)))
        last_id = request.headers.get("Last-Event-ID", "")

        async def is_known() -> bool:
            return await self._callers.is_known(request)

        def check() -> None:
            authorise(self._callers.principal(caller), method.rights)

        await self.events.follow(method, caller.principal, message, call, last_id, is_known, check, receive, send)
        return None

    def _match(self, request: Request) -> Match:
        path = request.scope["raw_path"].decode("latin-1")
        match = self.bindings.find(request.method, path)
        if match is not None:
            return match
        verbs = self.bindings.verbs(path)
        if not verbs or request.method in verbs:
            raise RequestError(HTTPStatus.NOT_FOUND, "there is no such path; `/openapi.json` has all")
        allowed = ", ".join(verbs)
        raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"expected method {allowed}", Allow=allowed)

    @staticmethod
    def _is_followed(request: Request, match: Match) -> bool:
        method = match.binding.method
        is_wanted = EVENTS in request.headers.get("Accept", "")
        if request.method == "HEAD" and method.is_stream:
            raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, "a stream has no HEAD", Allow="GET")
        return method.is_stream or (is_wanted and request.method == "GET" and FOLLOWED in method.name)

    @staticmethod
    def _check_token(request: Request, caller: Caller) -> None:
        """Refuses a change by a cookie alone, and requests of other origins' pages, with which the cookie may come."""
        if caller.session is None:
            return
        if request.headers.get("Sec-Fetch-Site", "none") not in _OWN:
            raise RequestError(HTTPStatus.FORBIDDEN, "a session is for the pages of this port alone")
        if request.method in _SAFE:
            return
        given = request.headers.get(TOKEN_HEADER, "").encode(errors="replace")
        if not hmac.compare_digest(given, form_token(caller.session).encode()):
            message = f"changes by a session take the token of its forms as `{TOKEN_HEADER}`, or a bearer token"
            raise RequestError(HTTPStatus.FORBIDDEN, message)

    @staticmethod
    async def _body(request: Request) -> bytes:
        body = await read_body(request, LARGEST_BODY_BYTES)
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if body and kind != JSON:
            raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected a body as `{JSON}`")
        return body
