"""`ApprovalsService`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate._proto.callgate.admin.v1 import approvals_pb2 as pb
from callgate.admin.approvals.feed import ApprovalFeed
from callgate.admin.approvals.messages import approval_message, recorded_message
from callgate.admin.approvals.permit_terms import permit_offer
from callgate.admin.calls.changes import Change
from callgate.admin.ground import Ground, actor
from callgate.admin.messages.paging import position_of, size_of, token_for
from callgate.admin.services.approvals_watch import watch
from callgate.admin.services.grants import owner_of
from callgate.approvals.withdrawing import check_withdrawal
from callgate.identity.answering import answer
from callgate.store.database import Domain
from callgate.store.model import Person, State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal
    from callgate.store.model import Approval, PermitOffer

_STATES: Final = {
    pb.Approval.STATE_PENDING: State.PENDING,
    pb.Approval.STATE_APPROVED: State.APPROVED,
    pb.Approval.STATE_DENIED: State.DENIED,
    pb.Approval.STATE_CONSUMED: State.CONSUMED,
    pb.Approval.STATE_EXPIRED: State.EXPIRED,
    pb.Approval.STATE_ENDED: State.ENDED,
}


class ApprovalsService:
    """Shows approvals and takes people's answers."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["ApprovalsService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground
        self._store = ground.store
        self._feed = ApprovalFeed(ground.store, ground.news)

    def list_approvals(
        self, _principal: Principal, request: pb.ListApprovalsRequest, call: Call
    ) -> pb.ListApprovalsResponse:
        """Lists approvals."""
        page = self._store.approvals.page(
            call.now_us,
            state=_STATES.get(request.state),
            grant=request.grant or None,
            size=size_of(request),
            token=position_of(request),
        )
        return pb.ListApprovalsResponse(
            approvals=map(approval_message, page.items), next_page_token=token_for(request, page.next_token)
        )

    def get_approval(self, _principal: Principal, request: pb.GetApprovalRequest, call: Call) -> pb.GetApprovalResponse:
        """Gets an approval with its evidence and answers."""
        approval = self._store.approvals.get(request.id, call.now_us)
        return pb.GetApprovalResponse(approval=recorded_message(approval, self._store.approvals.record(approval.id)))

    def approve_approval(
        self, principal: Principal, request: pb.ApproveApprovalRequest, call: Call
    ) -> pb.ApproveApprovalResponse:
        """Approves in the name of the caller."""
        change = Change(self._store, principal, request, call, Domain.CALLS)

        def work() -> pb.ApproveApprovalResponse:
            offer = None
            if request.HasField("permit"):
                approval = self._store.approvals.get(request.id, call.now_us)
                offer = permit_offer(request.permit, approval, self._store.approvals.record(approval.id))
            answered = self._answer(principal, request.id, Verdict.APPROVE, request.reason, call, offer)
            is_made = offer is not None and answered.state is State.CONSUMED
            return pb.ApproveApprovalResponse(
                approval=approval_message(answered), permit=offer.permit_id if offer is not None and is_made else ""
            )

        return change.once(work, pb.ApproveApprovalResponse)

    def deny_approval(
        self, principal: Principal, request: pb.DenyApprovalRequest, call: Call
    ) -> pb.DenyApprovalResponse:
        """Denies in the name of the caller."""
        change = Change(self._store, principal, request, call, Domain.CALLS)

        def work() -> pb.DenyApprovalResponse:
            answered = self._answer(principal, request.id, Verdict.DENY, request.reason, call)
            return pb.DenyApprovalResponse(approval=approval_message(answered))

        return change.once(work, pb.DenyApprovalResponse)

    def withdraw_approval(
        self, principal: Principal, request: pb.WithdrawApprovalRequest, call: Call
    ) -> pb.WithdrawApprovalResponse:
        """Ends an approval."""
        change = Change(self._store, principal, request, call, Domain.CALLS)

        def work() -> pb.WithdrawApprovalResponse:
            approval = self._store.approvals.get(request.id, call.now_us)
            answers = self._store.approvals.record(request.id).answers
            owner = owner_of(self._ground, approval.call.grant)
            owners = set() if owner is None else {Person(owner.issuer, owner.subject)}
            check_withdrawal(approval, answers, principal.person, principal.roles, owners)
            cause = request.reason or "withdrawn"
            ended = self._store.approvals.withdraw(request.id, actor(principal, call), cause, call.now_us)
            return pb.WithdrawApprovalResponse(approval=approval_message(ended))

        return change.once(work, pb.WithdrawApprovalResponse)

    def watch_approvals(
        self, _principal: Principal, request: pb.WatchApprovalsRequest, call: Call
    ) -> Iterator[pb.WatchApprovalsResponse]:
        """Follows approvals."""
        return watch(self._store, self._ground.news, self._feed, request, call)

    def _answer(
        self,
        principal: Principal,
        approval_id: str,
        verdict: Verdict,
        reason: str,
        call: Call,
        offer: PermitOffer | None = None,
    ) -> Approval:
        approval = self._store.approvals.get(approval_id, call.now_us)
        owner = owner_of(self._ground, approval.call.grant)
        return answer(
            self._store,
            principal,
            approval,
            verdict,
            source=call.source,
            reason=reason,
            owner=None if owner is None else Person(owner.issuer, owner.subject),
            now_us=call.now_us,
            permit=offer,
        )
