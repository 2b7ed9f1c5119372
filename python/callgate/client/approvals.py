"""Messages about approvals, and the wait for people that both clients share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, cast

import grpc

from callgate._callgate import Approval
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client.messages import SERVICE
from callgate.errors import CallgateError

if TYPE_CHECKING:
    from collections.abc import Callable

# The methods as a channel takes them: path, serializer, deserializer.
GET: Final = (
    f"/{SERVICE}/GetApproval",
    pb.GetApprovalRequest.SerializeToString,
    pb.GetApprovalResponse.FromString,
)
WATCH: Final = (
    f"/{SERVICE}/WatchApproval",
    pb.WatchApprovalRequest.SerializeToString,
    pb.WatchApprovalResponse.FromString,
)

PENDING: Final = "pending"
"""The state that people can still change by an answer."""

_PAUSE_S: Final = 0.5
"""Pause before a stream that has failed is opened again."""

_LONGEST_S: Final = 24 * 3_600.0
"""Longest time of one stream. gRPC takes a deadline that it cannot count for one that is over."""

_SILENT: Final = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""Statuses after which the wait goes on: the sidecar or its store restarts, a proxy has ended a long stream, or too
many others wait at this moment."""

_TO_MESSAGE: Final = {
    PENDING: pb.APPROVAL_STATE_PENDING,
    "approved": pb.APPROVAL_STATE_APPROVED,
    "denied": pb.APPROVAL_STATE_DENIED,
    "consumed": pb.APPROVAL_STATE_CONSUMED,
    "expired": pb.APPROVAL_STATE_EXPIRED,
    "ended": pb.APPROVAL_STATE_ENDED,
}
_FROM_MESSAGE: Final = {number: state for state, number in _TO_MESSAGE.items()}


def approval_of(message: pb.Approval) -> Approval:
    """The approval of a message.

    Raises:
        CallgateError: This version does not know the state.
    """
    if message.state not in _FROM_MESSAGE:
        error = f"the approval `{message.id}` has the state {message.state}, which is unknown here"
        raise CallgateError(error)
    return Approval(
        id=message.id,
        state=_FROM_MESSAGE[message.state],
        rule=message.rule,
        approvers=list(message.approvers),
        reason=message.reason,
        until_us=message.until_us,
        permit=message.permit,
    )


def message_of(approval: Approval) -> pb.Approval:
    """The message of an approval."""
    return pb.Approval(
        id=approval.id,
        state=_TO_MESSAGE[approval.state],
        rule=approval.rule,
        approvers=approval.approvers,
        reason=approval.reason,
        until_us=approval.until_us,
        permit=approval.permit,
    )


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The status of a failed request."""
    return cast("grpc.Call", error).code()


class Wait:
    """A wait for people, over as many streams as it takes."""

    def __init__(self, timeout_ms: float) -> None:
        """Begins the time.

        Raises:
            ValueError: The time is not above 0.
        """
        if not timeout_ms > 0:
            error = f"`timeout_ms` is {timeout_ms}: expected more than 0"
            raise ValueError(error)
        self._end_s = time.monotonic() + timeout_ms / 1000
        self._last: Approval | None = None

    @property
    def left_s(self) -> float:
        """Seconds for the next stream; at least a millisecond, so that it can be opened."""
        return min(max(self._end_s - time.monotonic(), 0.001), _LONGEST_S)

    @property
    def last(self) -> Approval | None:
        """The last state that a stream told."""
        return self._last

    def take(self, response: pb.WatchApprovalResponse) -> bool:
        """Keeps a state; True if the wait is over."""
        self._last = approval_of(response.approval)
        return self._last.state != PENDING

    def pause_s(
        self, failed: Callable[[grpc.RpcError | None], CallgateError], error: grpc.RpcError | None
    ) -> float | None:
        """The pause after a stream that told no end; None if the wait is over and the last state is its result.

        Args:
            failed: Makes the error that is raised.
            error: The error of the stream; None if it ended without one.

        Raises:
            CallgateError: The sidecar does not answer, or refuses the request.
        """
        code = None if error is None else code_of(error)
        if code is grpc.StatusCode.NOT_FOUND:
            self._last = None
            return None
        if code is None or code in _SILENT:
            # Nothing is left of the time after a pause.
            is_over = time.monotonic() + _PAUSE_S >= self._end_s
            if not is_over:
                return _PAUSE_S
            if self._last is not None:
                return None
        raise failed(error) from error
