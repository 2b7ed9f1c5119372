"""Refusals of requests on the admin port."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from callgate.errors import CallgateError, StoreError
from callgate.identity.errors import IdentityError, RetryError
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
    match error:
        case RequestError():
            return error
        case RetryError():
            return RequestError(HTTPStatus.TOO_MANY_REQUESTS, str(error), **{"Retry-After": str(error.retry_after_s)})
        case IdentityError():
            return RequestError(HTTPStatus.UNAUTHORIZED, str(error))
        case UnknownIdError():
            status = HTTPStatus.NOT_FOUND
        case AnswererError():
            status = HTTPStatus.FORBIDDEN
        case AnswerError():
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        case StateError() | ConflictError():
            status = HTTPStatus.CONFLICT
        case PageTokenError():
            status = HTTPStatus.BAD_REQUEST
        case StoreError():
            status = HTTPStatus.SERVICE_UNAVAILABLE
        case _:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
    return RequestError(status, str(error))
