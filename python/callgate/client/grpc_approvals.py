"""`GetApproval` and `WatchApproval` inside your own grpcio server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import grpc
import grpc.aio

from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client.approvals import message_of
from callgate.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from callgate._callgate import Engine

    _GetContext: TypeAlias = grpc.aio.ServicerContext[pb.GetApprovalRequest, pb.GetApprovalResponse]
    _WatchContext: TypeAlias = grpc.aio.ServicerContext[pb.WatchApprovalRequest, pb.WatchApprovalResponse]

_INTERVAL_S: Final = 0.5
"""Interval at which the state of a watched approval is read."""


def approval_handlers(engine: Engine, *, is_aio: bool) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """The handlers of both methods, by name."""
    approvals = _Approvals(engine)
    return {
        "GetApproval": grpc.unary_unary_rpc_method_handler(
            approvals.get_async if is_aio else approvals.get,
            pb.GetApprovalRequest.FromString,
            pb.GetApprovalResponse.SerializeToString,
        ),
        "WatchApproval": grpc.unary_stream_rpc_method_handler(
            approvals.watch_async if is_aio else approvals.watch,
            pb.WatchApprovalRequest.FromString,
            pb.WatchApprovalResponse.SerializeToString,
        ),
    }


class _RefusedError(Exception):
    """A status for the client."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code


class _Approvals:
    """The handlers. A look waits for the store, so the aio handlers run it on a thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, request: pb.GetApprovalRequest, context: grpc.ServicerContext) -> pb.GetApprovalResponse:
        try:
            return pb.GetApprovalResponse(approval=self._look(request.id))
        except _RefusedError as error:
            context.abort(error.code, str(error))

    async def get_async(self, request: pb.GetApprovalRequest, context: _GetContext) -> pb.GetApprovalResponse:
        try:
            return pb.GetApprovalResponse(approval=await asyncio.to_thread(self._look, request.id))
        except _RefusedError as error:
            await context.abort(error.code, str(error))

    def watch(
        self, request: pb.WatchApprovalRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchApprovalResponse]:
        last: pb.Approval | None = None
        while context.is_active() and _may_change(last):
            try:
                approval = self._look(request.id)
            except _RefusedError as error:
                context.abort(error.code, str(error))
            if approval != last:
                yield pb.WatchApprovalResponse(approval=approval)
                last = approval
            else:
                time.sleep(_INTERVAL_S)

    async def watch_async(
        self, request: pb.WatchApprovalRequest, context: _WatchContext
    ) -> AsyncIterator[pb.WatchApprovalResponse]:
        last: pb.Approval | None = None
        while _may_change(last):
            try:
                approval = await asyncio.to_thread(self._look, request.id)
            except _RefusedError as error:
                await context.abort(error.code, str(error))
            if approval != last:
                yield pb.WatchApprovalResponse(approval=approval)
                last = approval
            else:
                await asyncio.sleep(_INTERVAL_S)

    def _look(self, approval_id: str) -> pb.Approval:
        if not approval_id:
            message = "expected the id of an approval, as `approval_required` gave it"
            raise _RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)
        try:
            approval = self._engine.approval(approval_id)
        except StoreError as error:
            raise _RefusedError(grpc.StatusCode.UNAVAILABLE, str(error)) from None
        if approval is None:
            raise _RefusedError(grpc.StatusCode.NOT_FOUND, "there is no approval with this id")
        return message_of(approval)


def _may_change(last: pb.Approval | None) -> bool:
    return last is None or last.state == pb.APPROVAL_STATE_PENDING
