"""Clients of a running sidecar, sync and async: the API of `Engine.check`, over gRPC.

A sidecar that does not answer is no exception but a decision, because code that asks before every call must go on with
one: with ``on_failure="fail_closed"`` a denial, with ``"fail_open"`` an allow. Both carry the rule
``(decision point unavailable)``, and the allow says in `shadow` that it stands for a denial. Only silence opens: a
sidecar that answers with an error status, as it does to a call that is too large, denies in both modes, so that no
caller can open the door by what it sends.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, cast

import grpc
import grpc.aio

from callgate._callgate import Decision, Shadow
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client import messages
from callgate.client.stream import AsyncStream, Faults, Stream
from callgate.errors import CallgateError
from callgate.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from callgate.client.messages import Call

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
            target: ``127.0.0.1:9191``, ``unix:/run/callgate.sock``, or any other name that gRPC resolves.
            timeout_ms: How long one call may take in all.
            on_failure: What a sidecar that does not answer stands for, see the module.
            token: This enforcement point's own token, sent as ``authorization: Bearer``. Give `credentials` as well
                where others can listen.
            credentials: TLS, from `grpc.ssl_channel_credentials`; None speaks in the clear.

        Raises:
            ValueError: A value that has no meaning.
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
        self._target = target
        self._credentials = credentials
        self._metadata = None if token is None else (("authorization", f"Bearer {token}"),)
        self._options = _SOCKET_OPTIONS if target.startswith("unix:") else _OPTIONS
        self._timeout_s = timeout_ms / 1000
        self._on_failure = on_failure

    def _decision(self, response: pb.CheckResponse) -> Decision:
        try:
            return messages.decision(response)
        except KeyError:
            return _denial(UNAVAILABLE, f"`{self._target}` answered outcome {response.outcome}, which is unknown here")

    def _batch(self, calls: Iterable[Call]) -> tuple[pb.CheckBatchRequest, list[Decision | None]]:
        """The message of a batch, and the decisions of those calls that cannot be sent."""
        request, known = pb.CheckBatchRequest(), list[Decision | None]()
        for call in calls:
            message = _sendable(call)
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
        return Faults(refused=_not_unicode, failed=self._no_decision, answered=self._decision)

    def _failed(self, error: grpc.RpcError) -> Decision:
        status = cast("grpc.Call", error)
        return self._no_decision(status.code(), status.details())

    def _no_decision(self, code: grpc.StatusCode, details: str | None) -> Decision:
        if code in _REFUSED:
            return _denial(messages.INVALID_REQUEST, f"the decision point refused the call: {details}")
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

    def __init__(
        self,
        target: str,
        timeout_ms: float = 1000,
        on_failure: OnFailure = "fail_closed",
        *,
        token: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """See `_Asking.__init__`."""
        super().__init__(target, timeout_ms, on_failure, token=token, credentials=credentials)
        self._channel = (
            grpc.insecure_channel(target, options=self._options)
            if credentials is None
            else grpc.secure_channel(target, credentials, options=self._options)
        )
        self._check = self._channel.unary_unary(
            messages.CHECK, pb.CheckRequest.SerializeToString, pb.CheckResponse.FromString
        )
        self._check_batch = self._channel.unary_unary(
            messages.CHECK_BATCH, pb.CheckBatchRequest.SerializeToString, pb.CheckBatchResponse.FromString
        )
        self._check_stream = self._channel.stream_stream(
            messages.CHECK_STREAM, pb.CheckStreamRequest.SerializeToString, pb.CheckStreamResponse.FromString
        )
        self._settle = self._channel.unary_unary(
            messages.SETTLE, pb.SettleRequest.SerializeToString, pb.SettleResponse.FromString
        )

    def check(
        self,
        *,
        tool: str,
        grant: str | None = None,
        args: object = None,
        server: str | None = None,
        session: str | None = None,
        labels: Mapping[str, str] | None = None,
        reserve: bool = False,
        grant_token: str | None = None,
    ) -> Decision:
        """Decides one call; the arguments are those of `Engine.check`.

        Raises:
            TypeError: An argument has a type that no call could have.
        """
        try:
            request = messages.check_request(
                tool=tool,
                grant=grant,
                args=args,
                server=server,
                session=session,
                labels=labels,
                reserve=reserve,
                grant_token=grant_token,
            )
        except UnicodeEncodeError as error:
            return _not_unicode(error)
        try:
            response = self._check(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._failed(error)
        return self._decision(response)

    def check_batch(self, calls: Iterable[Call]) -> list[Decision]:
        """Decides several calls in one request: one decision for each, in their order.

        Each is decided by itself, and finds taken what those before it took. The time limit is that of the whole batch.
        A sidecar takes 1,000 calls at a time, unless it is set otherwise; where they are more, none is decided and
        every decision is a denial, ``(invalid request)``.

        Raises:
            TypeError: A call has a key or a type that no call could have; nothing was sent.
        """
        request, known = self._batch(calls)
        if not request.calls:
            return [decision for decision in known if decision is not None]
        try:
            response = self._check_batch(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._batch_failed(known, error)
        return self._batch_decisions(known, response)

    def check_stream(self, calls: Iterable[Call]) -> Generator[Decision, None, None]:
        """Decides calls as they come, without waiting for one answer before the next call: the quickest way to ask.

        Gives one decision for each call, in their order. `calls` may be endless and may wait, also for decisions given
        so far; it is drawn on another thread, and ahead of the decisions, as far as the sidecar reads. The time limit
        is that of each decision, from when it is wanted, and up to a quarter more. Where it is over, or the stream
        breaks, the calls that were drawn so far get the decision of a sidecar that does not answer, and those that
        follow are asked on a new stream. Closing what this gives (``close()``) leaves the stream early.

        Raises:
            TypeError: A call has a key or a type that no call could have. This, as what `calls` itself raises, comes
                after the decisions before it.
        """
        open_stream = partial(self._check_stream, metadata=self._metadata)
        return Stream(open_stream, calls, self._timeout_s, self._faults).decisions()

    def roll_back(self, reservation: str) -> bool:
        """Gives a reservation's units back; False when the id is unknown, expired, already settled or another's.

        Raises:
            ValueError: Not an id of a reservation.
            CallgateError: The sidecar did not answer: the units may or may not have been given back.
        """
        return self._settled(reservation, pb.SETTLE_ACTION_ROLL_BACK)

    def commit(self, reservation: str) -> bool:
        """Keeps a reservation's units for good; see `roll_back`."""
        return self._settled(reservation, pb.SETTLE_ACTION_COMMIT)

    def _settled(self, reservation: str, action: pb.SettleAction) -> bool:
        request = messages.settle_request(reservation, action)
        try:
            return self._settle(request, timeout=self._timeout_s, metadata=self._metadata).settled
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
        tool: str,
        grant: str | None = None,
        args: object = None,
        server: str | None = None,
        session: str | None = None,
        labels: Mapping[str, str] | None = None,
        reserve: bool = False,
        grant_token: str | None = None,
    ) -> Decision:
        """Decides one call; the arguments are those of `Engine.check`.

        Raises:
            TypeError: An argument has a type that no call could have.
        """
        try:
            request = messages.check_request(
                tool=tool,
                grant=grant,
                args=args,
                server=server,
                session=session,
                labels=labels,
                reserve=reserve,
                grant_token=grant_token,
            )
        except UnicodeEncodeError as error:
            return _not_unicode(error)
        try:
            ask = self._channel_of_this_loop().unary_unary(
                messages.CHECK, pb.CheckRequest.SerializeToString, pb.CheckResponse.FromString
            )
            response = await ask(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._failed(error)
        return self._decision(response)

    async def check_batch(self, calls: Iterable[Call]) -> list[Decision]:
        """See `Client.check_batch`."""
        request, known = self._batch(calls)
        if not request.calls:
            return [decision for decision in known if decision is not None]
        try:
            ask = self._channel_of_this_loop().unary_unary(
                messages.CHECK_BATCH, pb.CheckBatchRequest.SerializeToString, pb.CheckBatchResponse.FromString
            )
            response = await ask(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return self._batch_failed(known, error)
        return self._batch_decisions(known, response)

    def check_stream(self, calls: AsyncIterable[Call] | Iterable[Call]) -> AsyncGenerator[Decision, None]:
        """See `Client.check_stream`; the calls are drawn by a task of their own, and the time limit is exact."""

        def open_stream() -> grpc.aio.StreamStreamCall[Any, pb.CheckStreamResponse]:
            ask = self._channel_of_this_loop().stream_stream(
                messages.CHECK_STREAM, pb.CheckStreamRequest.SerializeToString, pb.CheckStreamResponse.FromString
            )
            return ask(metadata=self._metadata)

        return AsyncStream(open_stream, calls, self._timeout_s, self._faults).decisions()

    async def roll_back(self, reservation: str) -> bool:
        """See `Client.roll_back`."""
        return await self._settled(reservation, pb.SETTLE_ACTION_ROLL_BACK)

    async def commit(self, reservation: str) -> bool:
        """See `Client.commit`."""
        return await self._settled(reservation, pb.SETTLE_ACTION_COMMIT)

    async def _settled(self, reservation: str, action: pb.SettleAction) -> bool:
        request = messages.settle_request(reservation, action)
        try:
            settle = self._channel_of_this_loop().unary_unary(
                messages.SETTLE, pb.SettleRequest.SerializeToString, pb.SettleResponse.FromString
            )
            response = await settle(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            self._unsettled(reservation, error)
        return response.settled

    def _channel_of_this_loop(self) -> grpc.aio.Channel:
        # Not in the constructor: a channel binds itself to the loop that runs when it is made.
        if self._channel is None:
            self._channel = (
                grpc.aio.insecure_channel(self._target, options=self._options)
                if self._credentials is None
                else grpc.aio.secure_channel(self._target, self._credentials, options=self._options)
            )
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


def _sendable(call: Call) -> pb.CheckRequest | Decision:
    """The message of a call, or the denial of one that has none."""
    try:
        return messages.check_request(**call)
    except UnicodeEncodeError as error:
        return _not_unicode(error)


def _denial(rule: str, message: str) -> Decision:
    return Decision(outcome=Outcome.DENY, rule=rule, message=message, decided_at_us=_now_us())


def _not_unicode(error: UnicodeEncodeError) -> Decision:
    return _denial(messages.INVALID_REQUEST, f"a name is not Unicode text: {error.reason}")


def _now_us() -> int:
    return time.time_ns() // 1_000
