"""Makes counters in a running sidecar."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import grpc

from callgate._proto.callgate.decision.v1 import decision_pb2

if TYPE_CHECKING:
    from common.programs import Sidecar

METHOD = "/callgate.decision.v1.DecisionService/CheckBatch"
BATCH = 1_000
TIMEOUT_SECONDS = 60.0


def counters(sidecar: Sidecar, first: int, count: int, tool: str) -> None:
    """Lets grants `first` to `first + count` call a tool once each: one new counter each, where it has one limit."""
    with grpc.insecure_channel(sidecar.address) as channel:
        ask = channel.unary_unary(
            METHOD,
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
