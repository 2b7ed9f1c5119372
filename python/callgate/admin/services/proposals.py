"""`ProposalsService`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

import grpc

from callgate._proto.callgate.admin.v1 import proposals_pb2 as pb
from callgate.admin.calls.changes import Change
from callgate.admin.calls.errors import AdminError
from callgate.admin.documents.managed import AdminDocuments
from callgate.admin.documents.policies import check_policy
from callgate.admin.documents.uses import uses_of_policy
from callgate.admin.ground import Ground, actor
from callgate.admin.messages.paging import position_of, size_of, token_for
from callgate.admin.services.proposing import STATES, proposal_message
from callgate.store.database import Domain
from callgate.store.documents import DocumentKind, Edit
from callgate.store.errors import ConflictError, UnknownIdError
from callgate.store.model import Actor
from callgate.store.proposals import ProposalState

if TYPE_CHECKING:
    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal
    from callgate.store.proposals import Proposal

_MOST_OF_PAGE: Final = 100
"""Proposals are read whole, also where they are listed without their documents."""


class ProposalsService:
    """Shows proposals, and takes what people decide about them."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["ProposalsService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground
        self._policies = AdminDocuments(ground.store, ground.files, DocumentKind.POLICIES)

    def list_proposals(
        self, _principal: Principal, request: pb.ListProposalsRequest, call: Call
    ) -> pb.ListProposalsResponse:
        """Lists proposals."""
        page = self._ground.store.proposals.page(
            call.now_us,
            state=STATES.get(request.state),
            size=size_of(request, _MOST_OF_PAGE),
            token=position_of(request),
        )
        return pb.ListProposalsResponse(
            proposals=map(proposal_message, page.items), next_page_token=token_for(request, page.next_token)
        )

    def get_proposal(self, _principal: Principal, request: pb.GetProposalRequest, call: Call) -> pb.GetProposalResponse:
        """Gets a proposal with its document and its difference."""
        proposal = self._ground.store.proposals.get(request.id, call.now_us)
        message = proposal_message(proposal)
        message.document = proposal.content or ""
        message.diff = self._diff(proposal)
        return pb.GetProposalResponse(proposal=message)

    def confirm_proposal(
        self, principal: Principal, request: pb.ConfirmProposalRequest, call: Call
    ) -> pb.ConfirmProposalResponse:
        """Makes the change that was proposed."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.ConfirmProposalResponse)) is not None:
            return earlier
        proposal = self._ground.store.proposals.get(request.id, call.now_us)
        _must_be_another(principal, proposal)
        uses = None
        if proposal.state is ProposalState.PENDING:
            if proposal.content is None:
                uses = uses_of_policy(self._ground.store, proposal.object_id)
            else:
                # The catalogue, other documents or callgate itself may have changed since.
                self._policies.must_be_used(self._ground.sidecar)
                check_policy(proposal.content, self._ground.sidecar.catalogue())
                self._policies.must_be_servable(self._ground.sidecar, proposal.object_id, proposal.content)

        def work() -> pb.ConfirmProposalResponse:
            by = actor(principal, call)
            confirmed = self._ground.store.proposals.decide(
                request.id, ProposalState.CONFIRMED, by, request.reason, call.now_us
            )
            if uses is not None:
                uses.check_again()
            both = Actor(f"{confirmed.by.name}, confirmed by {by.name}", by.source)
            edit = Edit(confirmed.object_id, confirmed.content, confirmed.base_version)
            try:
                self._policies.stored.put([edit], both, confirmed.reason, call.now_us)
            except (ConflictError, UnknownIdError) as error:
                message = f"the policy has changed since this was proposed: {error}; propose the change anew"
                raise AdminError(grpc.StatusCode.ABORTED, message, reason="BASE_CHANGED") from None
            return pb.ConfirmProposalResponse(proposal=proposal_message(confirmed))

        return change.once(work, pb.ConfirmProposalResponse)

    def reject_proposal(
        self, principal: Principal, request: pb.RejectProposalRequest, call: Call
    ) -> pb.RejectProposalResponse:
        """Ends a proposal."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)

        def work() -> pb.RejectProposalResponse:
            proposal = self._ground.store.proposals.get(request.id, call.now_us)
            if principal.person is None and proposal.by.name != principal.name:
                message = "a machine rejects the proposals of its own token alone"
                raise AdminError(grpc.StatusCode.PERMISSION_DENIED, message, reason="PEOPLE_ONLY")
            by = actor(principal, call)
            rejected = self._ground.store.proposals.decide(
                request.id, ProposalState.REJECTED, by, request.reason, call.now_us
            )
            return pb.RejectProposalResponse(proposal=proposal_message(rejected))

        return change.once(work, pb.RejectProposalResponse)

    def _diff(self, proposal: Proposal) -> str:
        older, name = "", "nothing"
        if proposal.base_version:
            try:
                older = self._policies.stored.get(proposal.object_id, proposal.base_version).content or ""
            except UnknownIdError:
                return ""
            name = f"version {proposal.base_version}"
        newer = proposal.content or ""
        lines = difflib.unified_diff(older.splitlines(), newer.splitlines(), name, "proposed", lineterm="")
        return "".join(f"{line}\n" for line in lines)


def _must_be_another(principal: Principal, proposal: Proposal) -> None:
    """Refuses who has proposed the change, by their own session or by a token that they have made.

    Raises:
        AdminError: PERMISSION_DENIED.
    """
    if principal.name == proposal.behind:
        how = "you have" if principal.name == proposal.by.name else "a machine with a token that you have made has"
        message = f"{how} proposed this; another person has to confirm it"
        raise AdminError(grpc.StatusCode.PERMISSION_DENIED, message, reason="SAME_PERSON")
