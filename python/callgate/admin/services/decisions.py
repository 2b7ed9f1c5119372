"""`DecisionsService`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

import grpc

from callgate._proto.callgate.admin.v1 import decisions_pb2 as pb
from callgate._proto.callgate.decision.v1 import decision_pb2
from callgate.admin.calls.errors import AdminError
from callgate.admin.messages.times import timestamp
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate._callgate import DecisionListener
    from callgate.admin.calls.call import Call
    from callgate.admin.ground import Ground
    from callgate.identity.principal import Principal

BEAT_S: Final = 15.0
"""Longest silence of a stream."""

_LOOK_MS: Final = 500
"""Longest time after which an ended stream is noticed."""

_MOST: Final = 1_000
"""Decisions of one message."""

_OUTCOMES: Final = {
    "allow": decision_pb2.OUTCOME_ALLOW,
    "deny": decision_pb2.OUTCOME_DENY,
    "rate_limited": decision_pb2.OUTCOME_RATE_LIMITED,
    "approval_required": decision_pb2.OUTCOME_APPROVAL_REQUIRED,
}
_WORDS: Final = {number: word for word, number in _OUTCOMES.items()}


class DecisionsService:
    """Follows decisions."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["DecisionsService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground

    def tail_decisions(
        self, _principal: Principal, request: pb.TailDecisionsRequest, call: Call
    ) -> Iterator[pb.TailDecisionsResponse]:
        """Follows decisions from now on."""
        outcomes = [_WORDS[one] for one in request.outcomes if one in _WORDS]
        try:
            listener = self._ground.sidecar.listen(grants=request.grants, tools=request.tools, outcomes=outcomes)
        except ConfigError as error:
            raise AdminError(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error), reason="LISTENERS") from None
        return _messages(listener, call)


def _messages(listener: DecisionListener, call: Call) -> Iterator[pb.TailDecisionsResponse]:
    with listener:
        # Shows that it listens.
        yield pb.TailDecisionsResponse()
        last = time.monotonic()
        while not call.ended.is_set() and (taken := listener.take(_LOOK_MS)) is not None:
            lines, dropped = taken
            if not lines and not dropped and time.monotonic() < last + BEAT_S:
                continue
            last = time.monotonic()
            decisions = [_decision(line) for line in lines.decode(errors="replace").splitlines() if line]
            yield pb.TailDecisionsResponse(decisions=decisions[:_MOST], dropped_count=dropped)
            for begin in range(_MOST, len(decisions), _MOST):
                yield pb.TailDecisionsResponse(decisions=decisions[begin : begin + _MOST])


def _decision(line: str) -> pb.LoggedDecision:
    logged = json.loads(line)
    return pb.LoggedDecision(
        decide_time=timestamp(logged["decided_at_us"]),
        protocol=logged["protocol"],
        grant=logged["grant"],
        server=logged["server"],
        tool=logged["tool"],
        session=logged["session"],
        outcome=_OUTCOMES.get(logged["outcome"], decision_pb2.OUTCOME_UNSPECIFIED),
        rule=logged["rule"],
        policy=logged["policy"],
        policy_version=logged["policy_version"],
        line_json=line,
    )
