"""Waits for people over streams that end early, fail, or tell nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from callgate import Approval, AsyncClient, CallgateError, Client
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client.approvals import WATCH
from callgate.client.messages import SERVICE

LONG_MS = 60_000.0
PENDING = pb.APPROVAL_STATE_PENDING
APPROVED = pb.APPROVAL_STATE_APPROVED

Wait = Callable[..., Approval | None]


def sync_wait(target: str, approval: str = "a", *, timeout_ms: float = LONG_MS) -> Approval | None:
    with Client(target) as client:
        return client.wait_for_approval(approval, timeout_ms=timeout_ms)


def async_wait(target: str, approval: str = "a", *, timeout_ms: float = LONG_MS) -> Approval | None:
    async def wait() -> Approval | None:
        async with AsyncClient(target) as client:
            return await client.wait_for_approval(approval, timeout_ms=timeout_ms)

    return asyncio.run(wait())


ways = pytest.mark.parametrize("wait", [sync_wait, async_wait])


class Stream:
    """One stream of a scripted server: the states that it tells, and its end."""

    def __init__(self, *states: pb.ApprovalState, ends: grpc.StatusCode | None = None) -> None:
        self.states = states
        self.ends = ends


@contextmanager
def scripted(*streams: Stream) -> Iterator[tuple[str, list[float]]]:
    """A server that answers with these streams, the last one again and again; and the times that each had left."""
    left_s: list[float] = []

    def watch(request: pb.WatchApprovalRequest, context: grpc.ServicerContext) -> Iterator[pb.WatchApprovalResponse]:
        stream = streams[min(len(left_s), len(streams) - 1)]
        left_s.append(context.time_remaining())
        for state in stream.states:
            yield pb.WatchApprovalResponse(approval=pb.Approval(id=request.id, state=state))
        if stream.ends is not None:
            context.abort(stream.ends, "scripted")

    handler: grpc.RpcMethodHandler[Any, Any] = grpc.unary_stream_rpc_method_handler(
        watch, pb.WatchApprovalRequest.FromString, pb.WatchApprovalResponse.SerializeToString
    )
    name = WATCH[0].rpartition("/")[2]
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {name: handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}", left_s
        finally:
            server.stop(None).wait()


@ways
def test_a_stream_that_ends_too_early_is_opened_again_after_a_pause(wait: Wait) -> None:
    ends = (Stream(PENDING), Stream(PENDING, ends=grpc.StatusCode.DEADLINE_EXCEEDED), Stream(APPROVED))
    with scripted(*ends) as (target, left_s):
        found = wait(target)
        assert found is not None
        assert found.state == "approved"
        assert len(left_s) == len(ends)


@ways
def test_a_wait_goes_on_where_too_many_others_wait(wait: Wait) -> None:
    full = grpc.StatusCode.RESOURCE_EXHAUSTED
    with scripted(Stream(ends=full), Stream(PENDING, ends=full), Stream(APPROVED)) as (target, _):
        found = wait(target)
        assert found is not None
        assert found.state == "approved"
    with scripted(Stream(ends=full)) as (target, _), pytest.raises(CallgateError, match="RESOURCE_EXHAUSTED: scripted"):
        wait(target, timeout_ms=300)


@ways
def test_streams_that_end_at_once_end_the_wait_in_time(wait: Wait) -> None:
    with scripted(Stream(PENDING)) as (target, left_s):
        found = wait(target, timeout_ms=1_200)
        assert found is not None
        assert found.state == "pending"
        assert len(left_s) <= 3
    with scripted(Stream()) as (target, _), pytest.raises(CallgateError, match="its stream ended without one"):
        wait(target, timeout_ms=600)


@ways
@pytest.mark.parametrize("timeout_ms", [float("inf"), 1e300, 1e18])
def test_a_wait_may_be_without_end(wait: Wait, timeout_ms: float) -> None:
    with scripted(Stream(APPROVED)) as (target, left_s):
        found = wait(target, timeout_ms=timeout_ms)
        assert found is not None
        assert found.state == "approved"
        assert left_s[0] > LONG_MS / 1000


@ways
def test_an_error_names_the_time_of_the_wait_and_no_endless_id(wait: Wait) -> None:
    silent = Stream(ends=grpc.StatusCode.DEADLINE_EXCEEDED)
    with scripted(silent) as (target, _), pytest.raises(CallgateError, match="no answer within 300 ms") as caught:
        wait(target, "a" * 5_000, timeout_ms=300)
    assert len(str(caught.value)) < 200
    refusal = Stream(PENDING, ends=grpc.StatusCode.UNAUTHENTICATED)
    with scripted(refusal) as (target, _), pytest.raises(CallgateError, match="UNAUTHENTICATED: scripted"):
        wait(target, timeout_ms=300)
