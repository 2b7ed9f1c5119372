"""Clients of a running sidecar, sync and async: the API of `Engine.check`, over gRPC.

A sidecar that does not answer is no exception but a decision, because code that asks before every call must go on with
one: with ``on_failure="fail_closed"`` a denial, with ``"fail_open"`` an allow. Both carry the rule
``(decision point unavailable)``, and the allow says in `shadow` that it stands for a denial. Only silence opens: a
sidecar that answers with an error status, as it does to a call that is too large, denies in both modes, so that no
caller can open the door by what it sends.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal, NoReturn, TypeAlias, cast

import grpc
import grpc.aio

from callgate import _messages
from callgate._callgate import Decision, Shadow
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.errors import CallgateError
from callgate.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    OnFailure: TypeAlias = Literal["fail_closed", "fail_open"]

UNAVAILABLE: Final = "(decision point unavailable)"
"""Rule of decisions that a client makes itself, because the sidecar made none."""

_OPTIONS: Final = (
    # A sidecar is a neighbour: never behind the machine's HTTP proxy.
    ("grpc.enable_http_proxy", 0),
    # It restarts in milliseconds; gRPC's own patience of up to two minutes would turn that into an outage.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

# On a Unix socket gRPC would name the path as the authority, escaped in a way that HTTP/2 servers refuse.
_SOCKET_OPTIONS: Final = (*_OPTIONS, ("grpc.default_authority", "localhost"))

# What callgate says to a message that is no request: the call is at fault, not the sidecar.
_REFUSED: Final = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE}
_SILENT: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


class _Asking:
    """What both clients do around the one line in which they differ."""

    def __init__(self, target: str, timeout_ms: float = 1000, on_failure: OnFailure = "fail_closed") -> None:
        """Prepares a client; nothing is sent before the first call.

        Args:
            target: ``127.0.0.1:9191``, ``unix:/run/callgate.sock``, or any other name that gRPC resolves.
            timeout_ms: How long one call may take in all.
            on_failure: What a sidecar that does not answer stands for, see the module.

        Raises:
            ValueError: A value that has no meaning.
        """
        if on_failure not in {"fail_closed", "fail_open"}:
            error = f"`on_failure` is `{on_failure}`: expected `fail_closed` or `fail_open`"
            raise ValueError(error)
        if not timeout_ms > 0:
            error = f"`timeout_ms` is {timeout_ms}: expected more than 0"
            raise ValueError(error)
        self._target = target
        self._options = _SOCKET_OPTIONS if target.startswith("unix:") else _OPTIONS
        self._timeout_s = timeout_ms / 1000
        self._on_failure = on_failure

    def _decision(self, response: pb.CheckResponse) -> Decision:
        try:
            return _messages.decision(response)
        except KeyError:
            return _denial(UNAVAILABLE, f"`{self._target}` answered outcome {response.outcome}, which is unknown here")

    def _failed(self, error: grpc.RpcError) -> Decision:
        status = cast("grpc.Call", error)
        code, details = status.code(), status.details()
        if code in _REFUSED:
            return _denial(_messages.INVALID_REQUEST, f"the decision point refused the call: {details}")
        message = f"no decision from `{self._target}`: {code.name}: {details}"
        if code in _SILENT and self._on_failure == "fail_open":
            return Decision(
                outcome=Outcome.ALLOW,
                rule=UNAVAILABLE,
                message=message,
                shadow=Shadow(Outcome.DENY, UNAVAILABLE),
                decided_at_us=_now_us(),
            )
        return _denial(UNAVAILABLE, message)

    def _unsettled(self, reservation: str, error: grpc.RpcError) -> NoReturn:
        status = cast("grpc.Call", error)
        if status.code() is grpc.StatusCode.INVALID_ARGUMENT:
            raise ValueError(status.details()) from error
        message = f"cannot settle `{reservation}` at `{self._target}`: {status.code().name}: {status.details()}"
        raise CallgateError(message) from error


class Client(_Asking):
    """Asks a sidecar; safe to share between threads."""

    def __init__(self, target: str, timeout_ms: float = 1000, on_failure: OnFailure = "fail_closed") -> None:
        """See `_Asking.__init__`."""
        super().__init__(target, timeout_ms, on_failure)
        self._channel = grpc.insecure_channel(target, options=self._options)
        self._check = self._channel.unary_unary(
            _messages.CHECK, pb.CheckRequest.SerializeToString, pb.CheckResponse.FromString
        )
        self._settle = self._channel.unary_unary(
            _messages.SETTLE, pb.SettleRequest.SerializeToString, pb.SettleResponse.FromString
        )

    def check(
        self,
        *,
        grant: str,
        tool: str,
        args: object = None,
        server: str | None = None,
        session: str | None = None,
        labels: Mapping[str, str] | None = None,
        reserve: bool = False,
    ) -> Decision:
        """Decides one call; the arguments are those of `Engine.check`.

        Raises:
            TypeError: An argument has a type that no call could have.
        """
        try:
            request = _messages.check_request(
                grant=grant, tool=tool, args=args, server=server, session=session, labels=labels, reserve=reserve
            )
        except UnicodeEncodeError as error:
            return _not_unicode(error)
        try:
            response = self._check(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            return self._failed(error)
        return self._decision(response)

    def roll_back(self, reservation: str) -> bool:
        """Gives a reservation's units back; False when the id is unknown, expired or already settled.

        Raises:
            ValueError: Not an id of a reservation.
            CallgateError: The sidecar did not answer: the units may or may not have been given back.
        """
        return self._settled(reservation, pb.SETTLE_ACTION_ROLL_BACK)

    def commit(self, reservation: str) -> bool:
        """Keeps a reservation's units for good; see `roll_back`."""
        return self._settled(reservation, pb.SETTLE_ACTION_COMMIT)

    def _settled(self, reservation: str, action: pb.SettleAction) -> bool:
        request = _messages.settle_request(reservation, action)
        try:
            return self._settle(request, timeout=self._timeout_s).settled
        except grpc.RpcError as error:
            self._unsettled(reservation, error)

    def close(self) -> None:
        """Closes the connection; calls in flight fail."""
        self._channel.close()

    def __enter__(self) -> Self:
        """Nothing is opened before the first call."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the connection."""
        self.close()


class AsyncClient(_Asking):
    """Asks a sidecar from asyncio; belongs to the event loop of its first call."""

    _channel: grpc.aio.Channel | None = None

    async def check(
        self,
        *,
        grant: str,
        tool: str,
        args: object = None,
        server: str | None = None,
        session: str | None = None,
        labels: Mapping[str, str] | None = None,
        reserve: bool = False,
    ) -> Decision:
        """Decides one call; the arguments are those of `Engine.check`.

        Raises:
            TypeError: An argument has a type that no call could have.
        """
        try:
            request = _messages.check_request(
                grant=grant, tool=tool, args=args, server=server, session=session, labels=labels, reserve=reserve
            )
        except UnicodeEncodeError as error:
            return _not_unicode(error)
        try:
            ask = self._channel_of_this_loop().unary_unary(
                _messages.CHECK, pb.CheckRequest.SerializeToString, pb.CheckResponse.FromString
            )
            response = await ask(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            return self._failed(error)
        return self._decision(response)

    async def roll_back(self, reservation: str) -> bool:
        """See `Client.roll_back`."""
        return await self._settled(reservation, pb.SETTLE_ACTION_ROLL_BACK)

    async def commit(self, reservation: str) -> bool:
        """See `Client.commit`."""
        return await self._settled(reservation, pb.SETTLE_ACTION_COMMIT)

    async def _settled(self, reservation: str, action: pb.SettleAction) -> bool:
        request = _messages.settle_request(reservation, action)
        try:
            settle = self._channel_of_this_loop().unary_unary(
                _messages.SETTLE, pb.SettleRequest.SerializeToString, pb.SettleResponse.FromString
            )
            response = await settle(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            self._unsettled(reservation, error)
        return response.settled

    def _channel_of_this_loop(self) -> grpc.aio.Channel:
        # Not in the constructor: a channel binds itself to the loop that runs when it is made.
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=self._options)
        return self._channel

    async def close(self) -> None:
        """Closes the connection; calls in flight fail."""
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first call."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the connection."""
        await self.close()


def _denial(rule: str, message: str) -> Decision:
    return Decision(outcome=Outcome.DENY, rule=rule, message=message, decided_at_us=_now_us())


def _not_unicode(error: UnicodeEncodeError) -> Decision:
    return _denial(_messages.INVALID_REQUEST, f"a name is not Unicode text: {error.reason}")


def _now_us() -> int:
    return time.time_ns() // 1_000
