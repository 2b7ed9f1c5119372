"""`PermitsService`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate._proto.callgate.admin.v1 import permits_pb2 as pb
from callgate.admin.approvals.messages import permit_message
from callgate.admin.calls.changes import Change
from callgate.admin.ground import Ground, actor
from callgate.admin.messages.paging import position_of, size_of, token_for
from callgate.store.database import Domain

if TYPE_CHECKING:
    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal


class PermitsService:
    """Shows permits and ends them."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["PermitsService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._store = ground.store

    def list_permits(self, _principal: Principal, request: pb.ListPermitsRequest, call: Call) -> pb.ListPermitsResponse:
        """Lists permits."""
        size, token = size_of(request), position_of(request)
        page = self._store.permits.page(call.now_us, grant=request.grant or None, size=size, token=token)
        return pb.ListPermitsResponse(
            permits=map(permit_message, page.items), next_page_token=token_for(request, page.next_token)
        )

    def get_permit(self, _principal: Principal, request: pb.GetPermitRequest, call: Call) -> pb.GetPermitResponse:
        """Gets a permit."""
        return pb.GetPermitResponse(permit=permit_message(self._store.permits.get(request.id, call.now_us)))

    def end_permit(self, principal: Principal, request: pb.EndPermitRequest, call: Call) -> pb.EndPermitResponse:
        """Ends a permit."""
        change = Change(self._store, principal, request, call, Domain.CALLS)

        def work() -> pb.EndPermitResponse:
            cause = request.reason or "ended by hand"
            ended = self._store.permits.end(request.id, actor(principal, call), cause, call.now_us)
            return pb.EndPermitResponse(permit=permit_message(ended))

        return change.once(work, pb.EndPermitResponse)
