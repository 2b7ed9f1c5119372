"""`AuditService`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate._proto.callgate.admin.v1 import audit_pb2 as pb
from callgate.admin.calls.errors import invalid
from callgate.admin.ground import Ground, actor_message
from callgate.admin.messages.paging import number_of, size_of, token_for
from callgate.admin.messages.times import timestamp

if TYPE_CHECKING:
    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal
    from callgate.store.audit import Recorded


class AuditService:
    """Shows the admin audit."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["AuditService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._audit = ground.store.audit

    def list_audit_records(
        self, _principal: Principal, request: pb.ListAuditRecordsRequest, _call: Call
    ) -> pb.ListAuditRecordsResponse:
        """Lists records."""
        if request.object_id and not request.kind:
            raise invalid("kind", "expected the kind of the thing with its id")
        size = size_of(request)
        found = self._audit.page(
            kind=request.kind or None,
            object_id=request.object_id or None,
            before=number_of(request),
            size=size,
        )
        following = str(found[-1].number) if len(found) == size else None
        return pb.ListAuditRecordsResponse(
            audit_records=map(_message, found), next_page_token=token_for(request, following)
        )


def _message(record: Recorded) -> pb.AuditRecord:
    change = record.change
    return pb.AuditRecord(
        number=record.number,
        create_time=timestamp(record.at_us),
        actor=actor_message(change.by),
        action=change.action,
        kind=change.kind,
        object_id=change.object_id,
        digest_before=change.digest_before or "",
        digest_after=change.digest_after or "",
        reason=change.reason,
    )
