"""Routes of pages, each with the rights that it takes: none is reached without a login."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from callgate._proto.callgate.admin.v1 import approvals_pb2
from callgate.admin.calls.authorise import Rights, authorise, rights_of
from callgate.admin.calls.errors import AdminError
from callgate.admin.http.callers import Caller
from callgate.admin.http.errors import RequestError
from callgate.admin.http.forms import check_token, read_form

if TYPE_CHECKING:
    from callgate.admin.http.callers import Callers

Show: TypeAlias = Callable[[Request, Caller], Awaitable[Response]]
"""Answers with a page and without a change."""

Change: TypeAlias = Callable[[Request, Caller, dict[str, str]], Awaitable[Response]]
"""Takes the fields of a form of this login."""

_APPROVALS: Final = approvals_pb2.DESCRIPTOR.services_by_name["ApprovalsService"].methods_by_name

READ: Final = rights_of(_APPROVALS["GetApproval"])
"""The rights to see approvals."""

ANSWER: Final = rights_of(_APPROVALS["ApproveApproval"])
"""The rights to answer them; the conditions of each approval come on top."""


class Guard:
    """Makes routes that people reach by their session and rights alone."""

    def __init__(self, callers: Callers) -> None:
        """Takes the senders of requests."""
        self._callers = callers

    def get(self, path: str, rights: Rights, show: Show) -> Route:
        """A page."""

        async def guarded(request: Request) -> Response:
            return await show(request, await self._caller(request, rights))

        return Route(path, guarded, methods=["GET"])

    def post(self, path: str, rights: Rights | None, change: Change) -> Route:
        """A form; without rights, it is for everybody who has logged in."""

        async def guarded(request: Request) -> Response:
            caller = await self._caller(request, rights)
            fields = await read_form(request)
            check_token(fields, caller.session or "")
            return await change(request, caller, fields)

        return Route(path, guarded, methods=["POST"])

    async def _caller(self, request: Request, rights: Rights | None) -> Caller:
        caller = await self._callers.of_session(request)
        if rights is None:
            return caller
        try:
            authorise(caller.principal, rights)
        except AdminError as error:
            raise RequestError(HTTPStatus.FORBIDDEN, str(error)) from None
        return caller
