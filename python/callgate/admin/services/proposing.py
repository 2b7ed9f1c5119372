"""Changes of documents as proposals, where the configuration says that they take two people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate._proto.callgate.admin.v1 import proposals_pb2 as pb
from callgate.admin.ground import actor, actor_message
from callgate.admin.messages.times import timestamp
from callgate.identity.secret_text import new_id
from callgate.store.proposals import NewProposal, ProposalState

if TYPE_CHECKING:
    from callgate.admin.calls.call import Call
    from callgate.admin.documents.managed import Held
    from callgate.admin.ground import Ground
    from callgate.identity.principal import Principal
    from callgate.store.documents import DocumentKind
    from callgate.store.proposals import Proposal

STATES: Final = {
    pb.Proposal.STATE_PENDING: ProposalState.PENDING,
    pb.Proposal.STATE_CONFIRMED: ProposalState.CONFIRMED,
    pb.Proposal.STATE_REJECTED: ProposalState.REJECTED,
    pb.Proposal.STATE_EXPIRED: ProposalState.EXPIRED,
}
_NUMBERS: Final = {state: number for number, state in STATES.items()}


class Proposing:
    """Makes proposals for documents of one kind."""

    def __init__(self, ground: Ground, kind: DocumentKind) -> None:
        """Takes the things that it works on, and the kind."""
        self._ground = ground
        self._kind = kind

    @property
    def is_on(self) -> bool:
        """True if changes take two people."""
        return self._ground.sidecar.takes_two(self._kind)

    def propose(
        self, principal: Principal, call: Call, name: str, content: str | None, base: Held | None, reason: str
    ) -> pb.Proposal:
        """Proposes a document in place of the version in force; None as the content proposes its deletion.

        Raises:
            ConflictError: Too many proposals wait.
            StoreError: The store does not answer.
        """
        version = 0 if base is None or base.version is None else base.version.version
        new = NewProposal(new_id(), self._kind.value, name, content, version, reason, principal.behind)
        return proposal_message(self._ground.store.proposals.make(new, actor(principal, call), call.now_us))


def proposal_message(proposal: Proposal) -> pb.Proposal:
    """A proposal without its document and its difference."""
    action = pb.Proposal.ACTION_UPDATE if proposal.base_version else pb.Proposal.ACTION_CREATE
    if proposal.content is None:
        action = pb.Proposal.ACTION_DELETE
    return pb.Proposal(
        id=proposal.id,
        state=_NUMBERS[proposal.state],
        policy=proposal.object_id,
        action=action,
        base_version=proposal.base_version,
        reason=proposal.reason,
        create_time=timestamp(proposal.made_us),
        expire_time=timestamp(proposal.until_us),
        proposer=actor_message(proposal.by),
        decide_time=timestamp(proposal.decided_us),
        decider=None if proposal.decider is None else actor_message(proposal.decider),
        decide_reason=proposal.decided_reason,
    )
