"""The routes of operators: the state of a sidecar."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from callgate.errors import CallgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STATUS: Final = "/v1/status"


class RequestError(CallgateError):
    """A request that no route can answer, with what was expected."""


class Routes:
    """The routes of one sidecar."""

    def __init__(self, status: Callable[[], dict[str, Any]]) -> None:
        """Takes a function that describes the sidecar."""
        self._routes: dict[str, tuple[str, Callable[[bytes], Mapping[str, Any]]]] = {
            STATUS: ("GET", lambda _: status()),
        }

    def answer(self, method: str, path: str, body: bytes) -> tuple[HTTPStatus, Mapping[str, Any], Mapping[str, str]]:
        """The status, the document and the header fields of an answer."""
        if path not in self._routes:
            known = ", ".join(f"`{name}`" for name in self._routes)
            return HTTPStatus.NOT_FOUND, {"error": f"no such path; expected one of {known}"}, {}
        expected, handle = self._routes[path]
        if method != expected:
            return HTTPStatus.METHOD_NOT_ALLOWED, {"error": f"expected method `{expected}`"}, {"Allow": expected}
        try:
            return HTTPStatus.OK, handle(body), {}
        except RequestError as error:
            return HTTPStatus.BAD_REQUEST, {"error": str(error)}, {}
