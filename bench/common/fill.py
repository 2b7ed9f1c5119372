"""Asks a running sidecar for decisions, which make counters."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import grpc
from common import programs

from callgate._proto.callgate.decision.v1 import decision_pb2

if TYPE_CHECKING:
    from common.programs import Sidecar

SERVICE = "/callgate.decision.v1.DecisionService"
BATCH = 1_000
TIMEOUT_SECONDS = 60.0


def first_decision(sidecar: Sidecar, tool: str) -> None:
    """Returns when the data plane has allowed a call; its start need not be over."""
    # A channel that is refused waits for a second before it tries again.
    programs.wait_for(int(sidecar.address.rpartition(":")[2]), sidecar)
    with grpc.insecure_channel(sidecar.address) as channel:
        ask = channel.unary_unary(
            f"{SERVICE}/Check",
            request_serializer=decision_pb2.CheckRequest.SerializeToString,
            response_deserializer=decision_pb2.CheckResponse.FromString,
        )
        answer = ask(decision_pb2.CheckRequest(grant="first", tool=tool), timeout=TIMEOUT_SECONDS)
    if answer.outcome != decision_pb2.OUTCOME_ALLOW:
        sys.exit(f"the first call was refused: {answer}")


def counters(sidecar: Sidecar, first: int, count: int, tool: str) -> None:
    """Lets grants `first` to `first + count` call a tool once each: one new counter each, where it has one limit."""
    with grpc.insecure_channel(sidecar.address) as channel:
        ask = channel.unary_unary(
            f"{SERVICE}/CheckBatch",
            request_serializer=decision_pb2.CheckBatchRequest.SerializeToString,
            response_deserializer=decision_pb2.CheckBatchResponse.FromString,
        )
        for start in range(first, first + count, BATCH):
            grants = range(start, min(start + BATCH, first + count))
            batch = [decision_pb2.CheckRequest(grant=f"grant-{grant:07}", tool=tool) for grant in grants]
            answer = ask(decision_pb2.CheckBatchRequest(calls=batch), timeout=TIMEOUT_SECONDS)
            for decision in answer.decisions:
                if decision.outcome != decision_pb2.OUTCOME_ALLOW:
                    sys.exit(f"a new counter was refused: {decision}")
    alive = round(sidecar.metric("callgate_counters"))
    if alive != first + count:
        sys.exit(f"{first + count} counters were made, {alive} are alive")
