"""Refusals of requests on the admin port."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from callgate.errors import CallgateError, StoreError
from callgate.identity.errors import IdentityError, PasskeyError, RetryError
from callgate.store.errors import AnswererError, AnswerError, ConflictError, StateError, UnknownIdError
from callgate.store.pages import PageTokenError

if TYPE_CHECKING:
    from collections.abc import Mapping


class RequestError(CallgateError):
    """A request that is not answered, with the status that says why."""

    def __init__(self, status: HTTPStatus, message: str, **headers: str) -> None:
        """Takes the status, the message and header fields."""
        super().__init__(message)
        self.status = status
        self.headers: Mapping[str, str] = headers


class LogInError(RequestError):
    """A request of somebody who has to log in first."""

    def __init__(self, message: str) -> None:
        """Takes the message."""
        super().__init__(HTTPStatus.UNAUTHORIZED, message, **{"WWW-Authenticate": "Bearer"})


def request_error(error: CallgateError) -> RequestError:
    """The refusal by which an error of other parts is answered."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, RetryError):
        return RequestError(HTTPStatus.TOO_MANY_REQUESTS, str(error), **{"Retry-After": str(error.retry_after_s)})
    statuses = (status for kind, status in _STATUSES if isinstance(error, kind))
    return RequestError(next(statuses, HTTPStatus.INTERNAL_SERVER_ERROR), str(error))


_STATUSES: Final[tuple[tuple[type[CallgateError], HTTPStatus], ...]] = (
    (PasskeyError, HTTPStatus.FORBIDDEN),
    (IdentityError, HTTPStatus.UNAUTHORIZED),
    (UnknownIdError, HTTPStatus.NOT_FOUND),
    (AnswererError, HTTPStatus.FORBIDDEN),
    (AnswerError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (StateError, HTTPStatus.CONFLICT),
    (ConflictError, HTTPStatus.CONFLICT),
    (PageTokenError, HTTPStatus.BAD_REQUEST),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""More special ones first."""
