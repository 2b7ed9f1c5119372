"""The decision service inside your own grpcio server.

The data plane of `callgate.Server` is much faster; this is for a process that already runs a grpcio server.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import grpc
import grpc.aio

from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client import messages
from callgate.client.grpc_approvals import approval_handlers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from callgate._callgate import Engine, ManualClock

    _AioContext: TypeAlias = grpc.aio.ServicerContext[pb.SettleRequest, pb.SettleResponse]
    _AioPeekContext: TypeAlias = grpc.aio.ServicerContext[pb.PeekRequest, pb.PeekResponse]
    _AioBatchContext: TypeAlias = grpc.aio.ServicerContext[pb.CheckBatchRequest, pb.CheckBatchResponse]
    _AioStreamContext: TypeAlias = grpc.aio.ServicerContext[pb.CheckStreamRequest, pb.CheckStreamResponse]

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


def add_to_grpc_server(
    engine: Engine, server: grpc.Server | grpc.aio.Server, *, clock: ManualClock | None = None, vouches: bool = False
) -> None:
    """Mounts `callgate.decision.v1.DecisionService` into `server`, which must not be started yet.

    Every decision has status OK, as from the data plane. grpcio answers messages above the server's own limit (4
    MiB by default) with RESOURCE_EXHAUSTED; a batch may contain 1,000 calls. On a sync server each open stream
    occupies one thread of its pool. Calls are decided one after another, in a batch and in a stream: each that
    needs an approval waits for the engine's store of approvals, whatever the deadline of the request, and the calls
    after it wait too. The server's credentials and interceptors decide about access to the service; all its clients
    count as one enforcement point, so each of them can settle the others' reservations.

    Args:
        engine: The engine with the policies and counters.
        server: A `grpc.server` or a `grpc.aio.server`.
        clock: A manual clock, for tests; None for the system's.
        vouches: True if clients of the service may name a configured grant by its id. Without configured grants,
            callers name the grant in any case.
    """
    service = _Service(engine, clock, vouches=vouches)
    is_aio = isinstance(server, grpc.aio.Server)
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Check": grpc.unary_unary_rpc_method_handler(
            service.check_async if is_aio else service.check,
            pb.CheckRequest.FromString,
            pb.CheckResponse.SerializeToString,
        ),
        "CheckBatch": grpc.unary_unary_rpc_method_handler(
            service.check_batch_async if is_aio else service.check_batch,
            pb.CheckBatchRequest.FromString,
            pb.CheckBatchResponse.SerializeToString,
        ),
        "CheckStream": grpc.stream_stream_rpc_method_handler(
            service.check_stream_async if is_aio else service.check_stream,
            pb.CheckStreamRequest.FromString,
            pb.CheckStreamResponse.SerializeToString,
        ),
        "Peek": grpc.unary_unary_rpc_method_handler(
            service.peek_async if is_aio else service.peek,
            pb.PeekRequest.FromString,
            pb.PeekResponse.SerializeToString,
        ),
        "Settle": grpc.unary_unary_rpc_method_handler(
            service.settle_async if is_aio else service.settle,
            pb.SettleRequest.FromString,
            pb.SettleResponse.SerializeToString,
        ),
        **approval_handlers(engine, is_aio=is_aio),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(messages.SERVICE, handlers),))


class _Service:
    """The handlers of a sync server, on which each call runs on a thread of its pool, and of an aio server.

    A decision takes microseconds, so the aio handlers run it on the event loop itself. Where calls may wait for people,
    they run it on a thread.
    """

    def __init__(self, engine: Engine, clock: ManualClock | None, *, vouches: bool) -> None:
        self._engine = engine
        self._vouches = vouches
        self._clock = clock

    @property
    def _now_ms(self) -> float | None:
        return None if self._clock is None else self._clock.now_ms

    async def _decide(self, decide: Callable[[_Request], _Response], request: _Request) -> _Response:
        if self._engine.has_approvals:
            return await asyncio.to_thread(decide, request)
        return decide(request)

    def _check(self, request: pb.CheckRequest) -> pb.CheckResponse:
        return messages.check(self._engine, request, self._now_ms, vouched=self._vouches)

    def _peek(self, request: pb.PeekRequest) -> pb.PeekResponse:
        return messages.peek(self._engine, request, self._now_ms, vouched=self._vouches)

    def _settle(self, request: pb.SettleRequest) -> pb.SettleResponse:
        return messages.settle(self._engine, request, self._now_ms)

    def check(self, request: pb.CheckRequest, _context: grpc.ServicerContext) -> pb.CheckResponse:
        return self._check(request)

    async def check_async(self, request: pb.CheckRequest, _context: _AioContext) -> pb.CheckResponse:
        return await self._decide(self._check, request)

    def _check_batch(self, request: pb.CheckBatchRequest) -> pb.CheckBatchResponse:
        return messages.check_batch(self._engine, request, lambda: self._now_ms, vouched=self._vouches)

    def check_batch(self, request: pb.CheckBatchRequest, context: grpc.ServicerContext) -> pb.CheckBatchResponse:
        try:
            return self._check_batch(request)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    async def check_batch_async(
        self, request: pb.CheckBatchRequest, context: _AioBatchContext
    ) -> pb.CheckBatchResponse:
        try:
            return await self._decide(self._check_batch, request)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def _check_in_stream(self, request: pb.CheckStreamRequest) -> pb.CheckStreamResponse:
        return messages.check_in_stream(self._engine, request, self._now_ms, vouched=self._vouches)

    def check_stream(
        self, requests: Iterator[pb.CheckStreamRequest], _context: grpc.ServicerContext
    ) -> Iterator[pb.CheckStreamResponse]:
        for request in requests:
            yield self._check_in_stream(request)

    async def check_stream_async(
        self, requests: AsyncIterator[pb.CheckStreamRequest], _context: _AioStreamContext
    ) -> AsyncIterator[pb.CheckStreamResponse]:
        async for request in requests:
            yield await self._decide(self._check_in_stream, request)

    def peek(self, request: pb.PeekRequest, _context: grpc.ServicerContext) -> pb.PeekResponse:
        return self._peek(request)

    async def peek_async(self, request: pb.PeekRequest, _context: _AioPeekContext) -> pb.PeekResponse:
        return self._peek(request)

    def settle(self, request: pb.SettleRequest, context: grpc.ServicerContext) -> pb.SettleResponse:
        try:
            return self._settle(request)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    async def settle_async(self, request: pb.SettleRequest, context: _AioContext) -> pb.SettleResponse:
        try:
            return self._settle(request)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
