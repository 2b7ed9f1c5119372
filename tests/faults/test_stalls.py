"""A sidecar that stands still for a moment: calls whose deadlines pass meanwhile cost nobody else an answer."""

from __future__ import annotations

import signal
from pathlib import Path

import grpc

from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from support.program import TIMEOUT_S, sidecar, stand_still

GIVEN_UP = 600
DEADLINE_S = 0.3
METHOD = "/callgate.decision.v1.DecisionService/Check"


def test_calls_that_pass_their_deadlines_in_a_stall_leave_the_others_alone(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"version": "1", "default": "deny", "tools": {"open": {}}}')
    with sidecar("--policy", policy) as running, grpc.insecure_channel(running.address) as channel:
        check = channel.unary_unary(
            METHOD,
            request_serializer=pb.CheckRequest.SerializeToString,
            response_deserializer=pb.CheckResponse.FromString,
        )
        call = pb.CheckRequest(grant="g", tool="open")
        assert check(call, timeout=TIMEOUT_S).outcome == pb.OUTCOME_ALLOW
        stand_still(running.process)
        try:
            patient = [check.future(call, timeout=TIMEOUT_S) for _ in range(20)]
            hasty = [check.future(call, timeout=DEADLINE_S) for _ in range(GIVEN_UP)]
            codes = {one.code() for one in hasty}
        finally:
            running.process.send_signal(signal.SIGCONT)
        assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert {one.result().outcome for one in patient} == {pb.OUTCOME_ALLOW}
        assert check(call, timeout=TIMEOUT_S).outcome == pb.OUTCOME_ALLOW
