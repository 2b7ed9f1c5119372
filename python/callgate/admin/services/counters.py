"""`CountersService`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callgate._proto.callgate.admin.v1 import counters_pb2 as pb
from callgate.admin.calls.changes import Change
from callgate.admin.calls.errors import failed_precondition, invalid
from callgate.admin.ground import Ground, actor
from callgate.client.messages import peek_response
from callgate.errors import ConfigError
from callgate.store.audit import Change as AuditChange
from callgate.store.database import Domain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal


class CountersService:
    """Reads the remaining units of limits, and resets limits."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["CountersService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground

    def peek_counters(
        self, _principal: Principal, request: pb.PeekCountersRequest, _call: Call
    ) -> pb.PeekCountersResponse:
        """Reads the remaining units of a grant."""
        try:
            peeked = self._ground.sidecar.peek(
                grant=request.grant,
                tool=request.tool or None,
                args=request.args_json or None,
                server=request.server or None,
                session=request.session or None,
                labels=dict(request.labels) or None,
            )
        except (TypeError, ValueError) as error:
            raise invalid("args_json", str(error)) from None
        return pb.PeekCountersResponse(peek=peek_response(peeked))

    def reset_counters(
        self, principal: Principal, request: pb.ResetCountersRequest, call: Call
    ) -> pb.ResetCountersResponse:
        """Lets counts begin anew."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.ResetCountersResponse)) is not None:
            return earlier
        given = {"grant": request.grant, "policy": request.policy, "tool": request.tool, "counter": request.counter}
        names = {name: value for name, value in given.items() if value}
        if not names:
            raise invalid("grant", "expected at least one of `grant`, `policy`, `tool` and `counter`")
        what = " ".join(f"{name}={value}" for name, value in names.items())

        def work() -> pb.ResetCountersResponse:
            audited = AuditChange(actor(principal, call), "reset", "counters", what, request.reason)
            self._ground.store.audit.add(audited, call.now_us)
            # Last: counters are not part of the transaction, and to reset them again would do little harm.
            try:
                reset = self._ground.sidecar.reset(names)
            except ConfigError as error:
                raise failed_precondition(str(error), reason="NO_LIMIT") from None
            return pb.ResetCountersResponse(
                reset_limits=map(_limit, reset["limits"]),
                kept_limits=map(_limit, reset["kept"]),
                grant_counter_count=reset["grant_counters"],
            )

        return change.once(work, pb.ResetCountersResponse)


def _limit(limit: Mapping[str, Any]) -> pb.ResetLimit:
    return pb.ResetLimit(
        policy=limit["policy"],
        rule=limit["rule"],
        counter=limit["counter"],
        kept_reason=limit.get("reason", ""),
    )
