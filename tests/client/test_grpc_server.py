"""`add_to_grpc_server`: the service of the data plane, mounted into grpcio."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client.messages import CHECK, SETTLE
from support.doors import GrpcDoor, GrpcioAioDoor, GrpcioDoor

POLICY: dict[str, Any] = {
    "version": "1",
    "default": "deny",
    "tools": {"t": {"limits": [{"counter": "c", "window": "minute", "max": 2}]}},
}
DOORS = [GrpcDoor, GrpcioDoor, GrpcioAioDoor]


def raw(door: Any) -> grpc.Channel:
    """A channel to the server behind a door."""
    target: str = door.client._target  # noqa: SLF001  the doors keep no address of their own
    return grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)])


@pytest.mark.parametrize("kind", DOORS, ids=lambda kind: kind.name)
def test_settle(kind: Any) -> None:
    with kind(POLICY) as door, raw(door) as channel:
        check = channel.unary_unary(*CHECK)
        settle = channel.unary_unary(*SETTLE)
        response = check(pb.CheckRequest(grant="g", tool="t", reserve=True))
        assert response.outcome == pb.OUTCOME_ALLOW
        roll_back = pb.SettleRequest(reservation=response.reservation, action=pb.SETTLE_ACTION_ROLL_BACK)
        assert settle(roll_back).settled
        assert not settle(roll_back).settled
        unknown = pb.SettleRequest(reservation="0" * 32, action=pb.SETTLE_ACTION_COMMIT)
        assert not settle(unknown).settled


@pytest.mark.parametrize("kind", DOORS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "request_",
    [
        pb.SettleRequest(reservation="abc", action=pb.SETTLE_ACTION_COMMIT),
        pb.SettleRequest(reservation="0" * 32),
        pb.SettleRequest(),
    ],
    ids=["no id", "no action", "nothing"],
)
def test_malformed_settlements(kind: Any, request_: pb.SettleRequest) -> None:
    with kind(POLICY) as door, raw(door) as channel:
        settle = channel.unary_unary(*SETTLE)
        with pytest.raises(grpc.RpcError) as caught:
            settle(request_)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details()


@pytest.mark.parametrize("kind", DOORS, ids=lambda kind: kind.name)
def test_messages_above_4_mib(kind: Any) -> None:
    with kind(POLICY) as door, raw(door) as channel:
        check = channel.unary_unary(*CHECK)
        with pytest.raises(grpc.RpcError) as caught:
            check(pb.CheckRequest(grant="g", tool="t", args_json=b" " * (5 * 1024 * 1024)))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert check(pb.CheckRequest(grant="g", tool="t", args_json=b" " * (3 * 1024 * 1024) + b"{}")).outcome == 1
