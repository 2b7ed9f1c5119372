"""The common part of both clients, and their decisions if the sidecar does not answer.

A missing answer is a decision and not an exception, because code that requests a decision before every call needs one
to continue: with ``on_failure="fail_closed"`` a denial, with ``"fail_open"`` an allow. Both have the rule
``(decision point unavailable)``, and the allow has the denial as its `shadow`. Only a missing answer fails open: an
answer with an error status, such as that to a call that is too large, is a denial in both modes, so that callers cannot
force an allow by the content of a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NoReturn, TypeAlias, TypeVar, cast

import grpc

from callgate import clock
from callgate._callgate import Decision, Peek, Shadow
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client import messages
from callgate.client.stream import Faults
from callgate.errors import CallgateError
from callgate.outcome import Outcome
from callgate.target import parse
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Unpack

    from callgate.client.messages import Call, PeekFields

    OnFailure: TypeAlias = Literal["fail_closed", "fail_open"]

_Channel = TypeVar("_Channel")

UNAVAILABLE: Final = "(decision point unavailable)"
"""Rule of decisions that a client makes itself, because the sidecar did not answer."""

_OPTIONS: Final = (
    # A sidecar is near, so it is never behind the machine's HTTP proxy.
    ("grpc.enable_http_proxy", 0),
    # It restarts in milliseconds; gRPC's own backoff of up to two minutes would turn that into an outage.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # gRPC gives an attempt to connect this long, handshakes included: a busy machine needs more than a moment.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

# On a Unix socket, gRPC would send the path as the authority, escaped in a way that HTTP/2 servers refuse.
_SOCKET_OPTIONS: Final = (*_OPTIONS, ("grpc.default_authority", "localhost"))

OF_WAITS: Final = (("grpc.use_local_subchannel_pool", 1),)
"""Options that give waits for people a connection of their own: a connection has room for a bounded number of streams,
and decisions would wait for people behind those that fill it."""

# callgate's answers to a message that is not a valid request: the fault is in the call, not in the sidecar.
_REFUSED: Final = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE}
_SILENT: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

CANNOT_CONNECT: Final = "cannot connect"
"""Beginning of the reason if no sidecar is there."""

_NOT_CONNECTED: Final = "failed to connect to all addresses"
_NOT_RESOLVED: Final = ("errors resolving ", "DNS resolution failed ")
"""Beginnings of gRPC's own texts, in all of its versions that callgate supports."""


class ClientBase:
    """The common part of the clients for threads and for asyncio."""

    def __init__(
        self,
        target: str,
        timeout_ms: float = 1000,
        on_failure: OnFailure = "fail_closed",
        *,
        token: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """Prepares a client; nothing is sent before the first call.

        Args:
            target: ``127.0.0.1:9191``, ``unix:/run/callgate.sock``, ``https://HOST:PORT`` for TLS, or a name with a
                scheme of gRPC, such as ``dns:///sidecar:9191``.
            timeout_ms: Longest total time of one call.
            on_failure: The decision if the sidecar does not answer: ``fail_closed`` is a denial, ``fail_open`` an allow
                with the denial as its `shadow`.
            token: This enforcement point's own token, sent as ``authorization: Bearer``. Pass `credentials` as well if
                others can read the traffic.
            credentials: TLS, from `grpc.ssl_channel_credentials`; None for no TLS, or for that of an ``https`` target
                with the usual authorities.

        Raises:
            ValueError: An argument has an invalid value.
        """
        if on_failure not in {"fail_closed", "fail_open"}:
            error = f"`on_failure` is `{on_failure}`: expected `fail_closed` or `fail_open`"
            raise ValueError(error)
        if not timeout_ms > 0:
            error = f"`timeout_ms` is {timeout_ms}: expected more than 0"
            raise ValueError(error)
        if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
            error = "`token` is not of the form of a token: expected printable ASCII without spaces"
            raise ValueError(error)
        address = parse(target)
        self._target = address.name
        self._credentials = grpc.ssl_channel_credentials() if credentials is None and address.is_tls else credentials
        self._metadata = None if token is None else (("authorization", f"Bearer {token}"),)
        self._options = _SOCKET_OPTIONS if address.is_socket else _OPTIONS
        self._timeout_s = timeout_ms / 1000
        self._on_failure = on_failure
        self._prepare()

    def _prepare(self) -> None:
        """Takes the last step of the constructor."""

    def _open(
        self, insecure: Callable[..., _Channel], secure: Callable[..., _Channel], *more: tuple[str, int]
    ) -> _Channel:
        """A channel to the sidecar with more options, by the functions that open one without and with TLS."""
        options = (*self._options, *more)
        if self._credentials is None:
            return insecure(self._target, options=options)
        return secure(self._target, self._credentials, options=options)

    def _decision(self, response: pb.CheckResponse) -> Decision:
        try:
            return messages.decision(response)
        except KeyError:
            return _denial(UNAVAILABLE, f"`{self._target}` answered outcome {response.outcome}, which is unknown here")

    def _peeked(self, response: pb.PeekResponse) -> Peek:
        try:
            return messages.peek_answer(response)
        except KeyError:
            message = f"`{self._target}` answered outcome {response.decision.outcome}, which is unknown here"
            raise CallgateError(message) from None

    def _not_peeked(self, error: grpc.RpcError) -> NoReturn:
        status = cast("grpc.Call", error)
        message = f"cannot peek at `{self._target}`: {self._reason(status.code(), status.details() or '')}"
        raise CallgateError(message) from error

    def _batch(self, calls: Iterable[Call]) -> tuple[pb.CheckBatchRequest, list[Decision | None]]:
        """The message of a batch, and the decisions of calls that cannot be sent."""
        request, known = pb.CheckBatchRequest(), list[Decision | None]()
        for call in calls:
            message = sendable(**call)
            if isinstance(message, Decision):
                known.append(message)
            else:
                request.calls.append(message)
                known.append(None)
        return request, known

    def _batch_decisions(self, known: list[Decision | None], response: pb.CheckBatchResponse) -> list[Decision]:
        asked = known.count(None)
        if len(response.decisions) != asked:
            message = f"`{self._target}` answered {len(response.decisions)} decisions to {asked} calls"
            return [_denial(UNAVAILABLE, message) if one is None else one for one in known]
        answers = iter(response.decisions)
        return [self._decision(next(answers)) if one is None else one for one in known]

    def _batch_failed(self, known: list[Decision | None], error: grpc.RpcError) -> list[Decision]:
        return [self._failed(error) if one is None else one for one in known]

    @property
    def _faults(self) -> Faults:
        return Faults(refused=not_unicode, failed=self._no_decision, answered=self._decision)

    def _failed(self, error: grpc.RpcError) -> Decision:
        status = cast("grpc.Call", error)
        return self._no_decision(status.code(), status.details())

    def _no_decision(self, code: grpc.StatusCode, details: str | None) -> Decision:
        if code in _REFUSED:
            return _denial(messages.INVALID_REQUEST, f"the decision point refused the call: {details}")
        message = f"no decision from `{self._target}`: {self._reason(code, details or '')}"
        if code in _SILENT and self._on_failure == "fail_open":
            return Decision(
                outcome=Outcome.ALLOW,
                rule=UNAVAILABLE,
                message=message,
                shadow=Shadow(Outcome.DENY, UNAVAILABLE),
                decided_at_us=clock.now_us(),
            )
        return _denial(UNAVAILABLE, message)

    def _reason(self, code: grpc.StatusCode, details: str, waited_ms: float | None = None) -> str:
        """The reason for a missing answer; what gRPC says of its own work is left out."""
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            waited_ms = self._timeout_s * 1000 if waited_ms is None else waited_ms
            return f"no answer within {waited_ms:g} ms"
        if code is grpc.StatusCode.UNAVAILABLE and details.startswith(_NOT_CONNECTED):
            return f"{CANNOT_CONNECT}: {details.rpartition(': ')[2].lower()}"
        if code is grpc.StatusCode.UNAVAILABLE and details.startswith(_NOT_RESOLVED):
            return f"{CANNOT_CONNECT}: its host is not known"
        return f"{code.name}: {details}"

    def _not_told(self, approval_id: str, waited_ms: float, error: grpc.RpcError | None) -> CallgateError:
        reason = "its stream ended without one"
        if error is not None:
            status = cast("grpc.Call", error)
            reason = self._reason(status.code(), status.details() or "", waited_ms)
        return CallgateError(f"no state of the approval {quoted(approval_id)} from `{self._target}`: {reason}")

    def _unsettled(self, reservation: str, error: grpc.RpcError) -> NoReturn:
        status = cast("grpc.Call", error)
        if status.code() is grpc.StatusCode.INVALID_ARGUMENT:
            raise ValueError(status.details()) from error
        reason = self._reason(status.code(), status.details() or "")
        message = f"cannot settle `{reservation}` at `{self._target}`: {reason}"
        raise CallgateError(message) from error


def sendable(**call: Unpack[Call]) -> pb.CheckRequest | Decision:
    """The message of a call, or the denial of a call that cannot be sent."""
    try:
        return messages.check_request(**call)
    except UnicodeEncodeError as error:
        return not_unicode(error)


def peekable(**request: Unpack[PeekFields]) -> pb.PeekRequest | Peek:
    """The message of a peek, or the answer to one that cannot be sent."""
    try:
        return messages.peek_request(**request)
    except UnicodeEncodeError as error:
        return Peek(decision=not_unicode(error))


def _denial(rule: str, message: str) -> Decision:
    return Decision(outcome=Outcome.DENY, rule=rule, message=message, decided_at_us=clock.now_us())


def not_unicode(error: UnicodeEncodeError) -> Decision:
    """The denial of a call with a name that is not valid text."""
    return _denial(messages.INVALID_REQUEST, f"a name is not Unicode text: {error.reason}")
