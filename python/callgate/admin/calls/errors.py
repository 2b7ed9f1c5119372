"""Errors of the admin API, each with one status code for all faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from callgate.errors import CallgateError, ConfigError, PolicyError, StoreError
from callgate.identity.errors import IdentityError, RetryError
from callgate.store.errors import (
    AnswerError,
    ConflictError,
    PasskeyNeededError,
    ReasonError,
    StateError,
    StoreDamagedError,
    StoreFullError,
    UnknownIdError,
)
from callgate.store.pages import PageTokenError
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from callgate.config.judge import SectionError

DOMAIN: Final = "callgate.admin.v1"
"""The domain of `google.rpc.ErrorInfo`."""

_LONGEST_MESSAGE: Final = 500
_LARGEST_DETAILS: Final = 2_500
"""Bytes of details: with the message they travel in headers, of which clients take 8 KiB in all."""


@dataclass(frozen=True)
class Violation:
    """A fault of one field of a request."""

    field: str
    """Its path, such as `policy.document`."""
    message: str


class AdminError(CallgateError):
    """The answer of a method that cannot do what was asked.

    Attributes:
        code: The status code of gRPC, which HTTP's follows from.
        reason: A word for programs, such as `ETAG_MISMATCH`.
        metadata: Facts for programs.
        violations: The faults of the request's fields.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
    ) -> None:
        """Takes the code, a message for people, and details for programs."""
        # Somebody may have sent a token in place of an id.
        super().__init__(masked(message))
        self.code = code
        self.reason = reason or code.name
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)

    def status(self) -> Status:
        """The status as `google.rpc` describes it, with its details."""
        details: list[AnyMessage] = []
        _pack(details, ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata))
        left = _LARGEST_DETAILS - details[0].ByteSize()
        faults = BadRequest()
        for one in self.violations:
            fault = BadRequest.FieldViolation(field=one.field, description=masked(one.message)[:_LONGEST_MESSAGE])
            left -= fault.ByteSize() + 8
            if left < 0:
                break
            faults.field_violations.append(fault)
        if faults.field_violations:
            _pack(details, faults)
        code, _ = self.code.value
        return Status(code=code, message=str(self)[:_LONGEST_MESSAGE], details=details)


def invalid(field: str, message: str) -> AdminError:
    """The error for one field that is not valid."""
    return invalid_fields([Violation(field, message)])


def invalid_fields(faults: Sequence[Violation]) -> AdminError:
    """The error for fields that are not valid; its message names the first three."""
    text = "; ".join(f"`{one.field}`: {one.message}" for one in faults[:3])
    return AdminError(grpc.StatusCode.INVALID_ARGUMENT, text, violations=faults)


def invalid_section(field: str, error: SectionError, fields: Mapping[str, str] | None = None) -> AdminError:
    """The error for a field that is not valid as a section of the configuration.

    Args:
        field: The field of the request.
        error: The faults of the section.
        fields: The fields of its keys that have other names in messages.
    """
    names = fields or {}
    return invalid_fields(
        [
            Violation(".".join([field, *(names.get(str(step), str(step)) for step in fault.about)]), fault.message)
            for fault in error.faults
        ]
    )


def not_found(message: str) -> AdminError:
    """The error for something that is not there."""
    return AdminError(grpc.StatusCode.NOT_FOUND, message)


def failed_precondition(message: str, *, reason: str = "") -> AdminError:
    """The error for a change that the present state does not allow."""
    return AdminError(grpc.StatusCode.FAILED_PRECONDITION, message, reason=reason)


def admin_error(error: Exception) -> AdminError:  # noqa: PLR0911  one per kind of error
    """The error for callers. One that nobody expected shows nothing of its message, which may contain a secret."""
    if isinstance(error, AdminError):
        return error
    if isinstance(error, StateError):
        return AdminError(
            grpc.StatusCode.FAILED_PRECONDITION, str(error), reason="STATE", metadata={"state": error.state}
        )
    if isinstance(error, ReasonError):
        return invalid("reason", "this approval needs one")
    if isinstance(error, PasskeyNeededError):
        return AdminError(grpc.StatusCode.PERMISSION_DENIED, str(error), reason="PASSKEY")
    if isinstance(error, ConflictError):
        return AdminError(grpc.StatusCode.ABORTED, str(error), reason="CONFLICT")
    if isinstance(error, RetryError):
        metadata = {"retry_after_s": str(error.retry_after_s)}
        return AdminError(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error), metadata=metadata)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return AdminError(code, masked(str(error)))
    return AdminError(grpc.StatusCode.INTERNAL, f"internal error: {type(error).__name__}")


_CODES: Final[tuple[tuple[type[CallgateError], grpc.StatusCode], ...]] = (
    (UnknownIdError, grpc.StatusCode.NOT_FOUND),
    (AnswerError, grpc.StatusCode.PERMISSION_DENIED),
    (PageTokenError, grpc.StatusCode.INVALID_ARGUMENT),
    (IdentityError, grpc.StatusCode.UNAUTHENTICATED),
    (StoreFullError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (StoreDamagedError, grpc.StatusCode.DATA_LOSS),
    (StoreError, grpc.StatusCode.UNAVAILABLE),
    (PolicyError, grpc.StatusCode.INVALID_ARGUMENT),
    (ConfigError, grpc.StatusCode.FAILED_PRECONDITION),
)
"""More special ones first."""


def _pack(details: list[AnyMessage], detail: ErrorInfo | BadRequest) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    details.append(packed)
