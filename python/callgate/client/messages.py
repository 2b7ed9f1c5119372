"""The messages of `callgate.decision.v1`, and their one conversion to and from calls and decisions.

The clients and the grpcio service share it, so that a field cannot be forgotten in only one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

from callgate import clock
from callgate._callgate import Decision, LimitState, Peek, PeekedLimit, Shadow, args_json
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from callgate._callgate import Engine

SERVICE: Final = pb.DESCRIPTOR.services_by_name["DecisionService"].full_name
"""Full name of the gRPC service."""

# The methods as a channel takes them: path, serializer, deserializer.
CHECK: Final = (f"/{SERVICE}/Check", pb.CheckRequest.SerializeToString, pb.CheckResponse.FromString)
CHECK_BATCH: Final = (
    f"/{SERVICE}/CheckBatch",
    pb.CheckBatchRequest.SerializeToString,
    pb.CheckBatchResponse.FromString,
)
CHECK_STREAM: Final = (
    f"/{SERVICE}/CheckStream",
    pb.CheckStreamRequest.SerializeToString,
    pb.CheckStreamResponse.FromString,
)
PEEK: Final = (f"/{SERVICE}/Peek", pb.PeekRequest.SerializeToString, pb.PeekResponse.FromString)
SETTLE: Final = (f"/{SERVICE}/Settle", pb.SettleRequest.SerializeToString, pb.SettleResponse.FromString)

MAX_BATCH_CALLS: Final = 1_000
"""Most calls of one batch for the grpcio service; also the default of the data plane's setting."""

INVALID_REQUEST: Final = "(invalid request)"
"""Rule of calls that are not well-formed requests (`docs/policy.md` section 2)."""

_TO_MESSAGE: Final = {
    Outcome.ALLOW: pb.OUTCOME_ALLOW,
    Outcome.DENY: pb.OUTCOME_DENY,
    Outcome.RATE_LIMITED: pb.OUTCOME_RATE_LIMITED,
    Outcome.APPROVAL_REQUIRED: pb.OUTCOME_APPROVAL_REQUIRED,
}
_FROM_MESSAGE: Final = {number: outcome for outcome, number in _TO_MESSAGE.items()}


class _Tool(TypedDict):
    tool: str


class Call(_Tool, total=False):
    """One call of a batch or stream: the keywords of `Client.check`; `tool` and the caller are required."""

    grant: str | None
    grant_token: str | None
    args: object
    server: str | None
    session: str | None
    labels: Mapping[str, str] | None
    reserve: bool


class PeekFields(TypedDict, total=False):
    """The keywords of `Client.peek`."""

    tool: str | None
    grant: str | None
    grant_token: str | None
    args: object
    server: str | None
    session: str | None
    labels: Mapping[str, str] | None


def check_request(
    *,
    tool: str,
    grant: str | None = None,
    grant_token: str | None = None,
    args: object = None,
    server: str | None = None,
    session: str | None = None,
    labels: Mapping[str, str] | None = None,
    reserve: bool = False,
) -> pb.CheckRequest:
    """The message of a call.

    Raises:
        TypeError: An argument has an invalid type.
        UnicodeEncodeError: A name contains a lone surrogate.
    """
    _require_text(tool, grant, grant_token, server, session, labels=labels)
    return pb.CheckRequest(
        grant=grant or "",
        grant_token=grant_token or "",
        tool=tool,
        args_json=b"" if args is None else args_json(args),
        server=server or "",
        session=session or "",
        labels=labels or {},
        reserve=reserve,
    )


def peek_request(
    *,
    tool: str | None = None,
    grant: str | None = None,
    grant_token: str | None = None,
    args: object = None,
    server: str | None = None,
    session: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> pb.PeekRequest:
    """The message of a peek.

    Raises:
        TypeError: An argument has an invalid type.
        UnicodeEncodeError: A name contains a lone surrogate.
    """
    _require_text(tool or "", grant, grant_token, server, session, labels=labels)
    return pb.PeekRequest(
        grant=grant or "",
        grant_token=grant_token or "",
        tool=tool or "",
        args_json=b"" if args is None else args_json(args),
        server=server or "",
        session=session or "",
        labels=labels or {},
    )


def _require_text(tool: object, *optional: object, labels: Mapping[str, str] | None) -> None:
    names = [tool, *(labels or {}), *(labels or {}).values(), *(name for name in optional if name is not None)]
    for name in names:
        if not isinstance(name, str):
            error = f"expected a string, got {type(name).__name__}"
            raise TypeError(error)
        name.encode()  # protobuf's own refusal is a different exception in each of its implementations


def check(engine: Engine, request: pb.CheckRequest, now_ms: float | None, *, vouched: bool) -> pb.CheckResponse:
    """Decides the call of a message."""
    decision = engine.check(
        grant=request.grant,
        grant_token=request.grant_token,
        vouched=vouched,
        tool=request.tool,
        args=request.args_json,
        server=request.server,
        session=request.session,
        labels=dict(request.labels),
        now_ms=now_ms,
        reserve=request.reserve,
    )
    return check_response(decision)


def check_batch(
    engine: Engine, request: pb.CheckBatchRequest, now_ms: Callable[[], float | None], *, vouched: bool
) -> pb.CheckBatchResponse:
    """Decides the calls of a message, in order.

    Raises:
        ValueError: There are more than `MAX_BATCH_CALLS`; none is decided.
    """
    if len(request.calls) > MAX_BATCH_CALLS:
        error = f"expected at most {MAX_BATCH_CALLS} calls in one batch, got {len(request.calls)}"
        raise ValueError(error)
    return pb.CheckBatchResponse(decisions=[check(engine, call, now_ms(), vouched=vouched) for call in request.calls])


def check_in_stream(
    engine: Engine, request: pb.CheckStreamRequest, now_ms: float | None, *, vouched: bool
) -> pb.CheckStreamResponse:
    """Decides one call of a stream."""
    if request.HasField("call"):
        decision = check(engine, request.call, now_ms, vouched=vouched)
    else:
        decision = pb.CheckResponse(
            outcome=pb.OUTCOME_DENY,
            rule=INVALID_REQUEST,
            message="the message holds no `call`; expected one beside its `id`",
            decided_at_us=clock.now_us() if now_ms is None else round(now_ms * 1_000),
        )
    return pb.CheckStreamResponse(id=request.id, decision=decision)


def peek(engine: Engine, request: pb.PeekRequest, now_ms: float | None, *, vouched: bool) -> pb.PeekResponse:
    """Looks at what is left for the caller of a message."""
    peeked = engine.peek(
        grant=request.grant,
        grant_token=request.grant_token,
        vouched=vouched,
        tool=request.tool,
        args=request.args_json,
        server=request.server,
        session=request.session,
        labels=dict(request.labels),
        now_ms=now_ms,
    )
    return peek_response(peeked)


def peek_response(peeked: Peek) -> pb.PeekResponse:
    """The message of what is left."""
    return pb.PeekResponse(
        decision=None if peeked.decision is None else check_response(peeked.decision),
        policy=peeked.policy,
        policy_version=peeked.policy_version,
        limits=[_limit_message(limit) for limit in peeked.limits],
    )


def _limit_message(limit: PeekedLimit) -> pb.PeekedLimit:
    count = None
    if limit.remaining is not None:
        count = pb.PeekedCount(
            remaining=limit.remaining,
            reset_after_ms=limit.reset_after_ms,
            retry_after_ms=limit.retry_after_ms,
            window_ms=limit.window_ms,
        )
    return pb.PeekedLimit(
        counter=limit.counter,
        rule=limit.rule,
        max=limit.max,
        count=count,
        shadow=limit.shadow,
        missing=limit.missing,
    )


def peek_answer(response: pb.PeekResponse) -> Peek:
    """The limits and their units left, from a message.

    Raises:
        KeyError: This version does not know the outcome.
    """
    return Peek(
        decision=decision(response.decision) if response.HasField("decision") else None,
        policy=response.policy,
        policy_version=response.policy_version,
        limits=[_peeked_limit(limit) for limit in response.limits],
    )


def _peeked_limit(limit: pb.PeekedLimit) -> PeekedLimit:
    count = limit.count if limit.HasField("count") else None
    return PeekedLimit(
        counter=limit.counter,
        rule=limit.rule,
        max=limit.max,
        remaining=None if count is None else count.remaining,
        reset_after_ms=None if count is None else count.reset_after_ms,
        retry_after_ms=count.retry_after_ms if count is not None and count.HasField("retry_after_ms") else None,
        window_ms=None if count is None else count.window_ms,
        shadow=limit.shadow,
        missing=list(limit.missing),
    )


def settle_request(reservation: str, action: pb.SettleAction) -> pb.SettleRequest:
    """The message of a settlement."""
    return pb.SettleRequest(reservation=reservation, action=action)


def settle(engine: Engine, request: pb.SettleRequest, now_ms: float | None) -> pb.SettleResponse:
    """Settles the reservation of a message.

    Raises:
        ValueError: The message is malformed; the error names the expected form.
    """
    match request.action:
        case pb.SETTLE_ACTION_COMMIT:
            return pb.SettleResponse(settled=engine.commit(request.reservation, now_ms=now_ms))
        case pb.SETTLE_ACTION_ROLL_BACK:
            return pb.SettleResponse(settled=engine.roll_back(request.reservation, now_ms=now_ms))
        case action:
            error = f"`action` is {action}: expected SETTLE_ACTION_COMMIT or SETTLE_ACTION_ROLL_BACK"
            raise ValueError(error)


def check_response(decision: Decision) -> pb.CheckResponse:
    """The message of a decision."""
    shadow = decision.shadow
    return pb.CheckResponse(
        outcome=_TO_MESSAGE[decision.outcome],
        rule=decision.rule,
        message=decision.message,
        retry_after_ms=decision.retry_after_ms,
        limits=[
            pb.LimitState(
                counter=limit.counter,
                max=limit.max,
                remaining=limit.remaining,
                reset_after_ms=limit.reset_after_ms,
                over=limit.over,
            )
            for limit in decision.limits
        ],
        policy=decision.policy,
        policy_version=decision.policy_version,
        shadow=None if shadow is None else pb.Shadow(outcome=_TO_MESSAGE[shadow.outcome], rule=shadow.rule),
        fingerprint=decision.fingerprint,
        decided_at_us=decision.decided_at_us,
        reservation=decision.reservation,
        approval=decision.approval,
    )


def decision(response: pb.CheckResponse) -> Decision:
    """The decision of a message.

    Raises:
        KeyError: This version does not know the outcome.
    """
    shadow = response.shadow
    return Decision(
        outcome=_FROM_MESSAGE[response.outcome],
        rule=response.rule,
        message=response.message,
        retry_after_ms=response.retry_after_ms if response.HasField("retry_after_ms") else None,
        limits=[
            LimitState(limit.counter, limit.max, limit.remaining, limit.reset_after_ms, limit.over)
            for limit in response.limits
        ],
        policy=response.policy,
        policy_version=response.policy_version,
        shadow=Shadow(_FROM_MESSAGE[shadow.outcome], shadow.rule) if response.HasField("shadow") else None,
        fingerprint=response.fingerprint or None,
        decided_at_us=response.decided_at_us,
        reservation=response.reservation or None,
        approval=response.approval or None,
    )
