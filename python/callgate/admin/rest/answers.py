"""Answers of REST: messages as JSON, and errors as `google.rpc.Status`."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf import json_format
from starlette.responses import Response

from callgate.admin.calls.errors import AdminError
from callgate.admin.rest.requests import etag_path

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from callgate.admin.http.errors import RequestError

JSON: Final = "application/json"

STATUSES: Final = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
}
"""The status of HTTP for each code, as `google.rpc.Code` says."""

_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: grpc.StatusCode.UNIMPLEMENTED,
    HTTPStatus.CONFLICT: grpc.StatusCode.ABORTED,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.INTERNAL_SERVER_ERROR: grpc.StatusCode.INTERNAL,
}


def document(message: Message) -> dict[str, Any]:
    """A message as JSON, with the fields that are empty."""
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


def answer(message: Message) -> Response:
    """The answer to a request, with the etag of what it shows."""
    response = Response(_encoded(document(message)), media_type=JSON)
    path = etag_path(message.DESCRIPTOR)
    if path is not None:
        etag: Any = message
        for step in path.split("."):
            etag = getattr(etag, step)
        # An etag has its quotes already.
        if etag and etag.isascii() and etag.isprintable():
            response.headers["ETag"] = etag
    return response


def failure(error: AdminError, *, is_conditional: bool = False) -> Response:
    """The answer that says why there is no other one; `is_conditional` for a request with `If-Match`."""
    status = STATUSES[error.code]
    if is_conditional and error.reason == "ETAG_MISMATCH":
        status = HTTPStatus.PRECONDITION_FAILED
    response = Response(_encoded(status_document(error)), status, media_type=JSON)
    retry = error.metadata.get("retry_after_s")
    if retry is not None and retry.isdigit():
        response.headers["Retry-After"] = retry
    if error.code is grpc.StatusCode.UNAUTHENTICATED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def refusal(error: RequestError) -> Response:
    """The answer to a request that no method has seen."""
    code = _CODES.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
    response = Response(_encoded(status_document(AdminError(code, str(error)))), error.status, media_type=JSON)
    response.headers.update(error.headers)
    return response


def status_document(error: AdminError) -> dict[str, Any]:
    """An error as `google.rpc.Status`."""
    return json_format.MessageToDict(error.status(), always_print_fields_with_no_presence=True)


def _encoded(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
