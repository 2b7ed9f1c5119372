"""`StatusService`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.duration_pb2 import Duration

from callgate._proto.callgate.admin.v1 import role_pb2
from callgate._proto.callgate.admin.v1 import status_pb2 as pb
from callgate.admin.calls.authorise import ROLES
from callgate.admin.messages.paging import position_of, size_of, token_for
from callgate.admin.messages.times import SECOND_US, timestamp
from callgate.admin.replica import report_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.admin.calls.call import Call
    from callgate.admin.ground import Ground
    from callgate.identity.principal import Principal
    from callgate.store.replicas import ReplicaReport

LOST_US: Final = 30 * SECOND_US
"""Time after its last report from which on a replica counts as lost."""

_NUMBERS: Final = {role: number for number, role in ROLES.items()}


class StatusService:
    """Shows the state of replicas, and who the caller is."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["StatusService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground

    def get_status(self, _principal: Principal, _request: pb.GetStatusRequest, call: Call) -> pb.GetStatusResponse:
        """Gets the state of this replica."""
        own = report_of(self._ground.replica, self._ground.sidecar.status(), call.now_us)
        return pb.GetStatusResponse(replica=_message(own, call.now_us))

    def list_replicas(
        self, _principal: Principal, request: pb.ListReplicasRequest, call: Call
    ) -> pb.ListReplicasResponse:
        """Lists all replicas."""
        if self._ground.store.database.is_sqlite:
            # Its file is on one machine, and a report every few seconds would keep its disk awake.
            own = report_of(self._ground.replica, self._ground.sidecar.status(), call.now_us)
            return pb.ListReplicasResponse(replicas=[_message(own, call.now_us)])
        size = size_of(request)
        found = self._ground.store.replicas.page(after=position_of(request) or "", size=size + 1)
        following = found[size - 1].id if len(found) > size else None
        return pb.ListReplicasResponse(
            replicas=[_message(one, call.now_us) for one in found[:size]],
            next_page_token=token_for(request, following),
        )

    def get_caller(self, principal: Principal, _request: pb.GetCallerRequest, _call: Call) -> pb.GetCallerResponse:
        """Gets the name and the roles of the caller."""
        return pb.GetCallerResponse(
            name=principal.name,
            machine=principal.person is None,
            roles=sorted(_NUMBERS.get(role, role_pb2.ROLE_UNSPECIFIED) for role in principal.roles),
            groups=sorted(principal.groups),
        )


def _message(report: ReplicaReport, now_us: int) -> pb.Replica:
    details: dict[str, Any] = json.loads(report.status)
    return pb.Replica(
        id=report.id,
        state=_state(report, details, now_us),
        host=report.host,
        version=details.get("version", ""),
        start_time=timestamp(report.started_us),
        report_time=timestamp(report.seen_us),
        failure=details.get("failure") or "",
        refused_configuration=(details.get("configuration") or {}).get("newer_refused") or "",
        policies=[
            pb.PolicyInForce(server=one["server"] or "", policy=one["name"], policy_version=one["version"])
            for one in details.get("policies", ())
        ],
        details_json=report.status,
        approvals=_approvals(details),
        freezes_in_force=len(details.get("freezes", ())),
    )


def _approvals(details: Mapping[str, Any]) -> pb.ApprovalNumbers | None:
    # A replica of an earlier version reports none.
    if (numbers := details.get("approvals")) is None:
        return None
    oldest_s = numbers["oldest_pending_s"]
    return pb.ApprovalNumbers(
        pending=numbers["pending"],
        oldest_pending_age=None if oldest_s is None else Duration(seconds=oldest_s),
        active_permits=numbers["active_permits"],
    )


def _state(report: ReplicaReport, details: Mapping[str, Any], now_us: int) -> pb.Replica.State:
    if report.stopped_us is not None:
        return pb.Replica.STATE_STOPPED
    if now_us >= report.seen_us + LOST_US:
        return pb.Replica.STATE_LOST
    return pb.Replica.STATE_READY if details.get("ready") else pb.Replica.STATE_NOT_READY
