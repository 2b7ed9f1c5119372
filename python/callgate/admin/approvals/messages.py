"""Approvals, permits and their terms as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from callgate._proto.callgate.admin.v1 import actor_pb2, permits_pb2
from callgate._proto.callgate.admin.v1 import approvals_pb2 as pb
from callgate.admin.ground import person_message
from callgate.admin.messages.times import duration, timestamp
from callgate.exact_json import read_json, write_json
from callgate.store.model import Person, State, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.store.approvals.recorded import Given, Recorded
    from callgate.store.model import Approval, Need
    from callgate.store.permits import Permit

_STATES: Final = {
    State.PENDING: pb.Approval.STATE_PENDING,
    State.APPROVED: pb.Approval.STATE_APPROVED,
    State.DENIED: pb.Approval.STATE_DENIED,
    State.CONSUMED: pb.Approval.STATE_CONSUMED,
    State.EXPIRED: pb.Approval.STATE_EXPIRED,
    State.ENDED: pb.Approval.STATE_ENDED,
}
_VERDICTS: Final = {
    Verdict.APPROVE: pb.ApprovalAnswer.VERDICT_APPROVE,
    Verdict.DENY: pb.ApprovalAnswer.VERDICT_DENY,
}
_DIGEST: Final = 12


def approval_message(approval: Approval) -> pb.Approval:
    """An approval without its evidence and answers."""
    call = approval.call
    return pb.Approval(
        id=approval.id,
        state=_STATES[approval.state],
        grant=call.grant,
        grant_owner=person_message(call.owner),
        server=call.server,
        tool=call.tool,
        fingerprint=call.fingerprint,
        policy_version=call.policy_digest[:_DIGEST],
        pin_digest=call.pin_digest or "",
        needs=map(_need, approval.needs),
        open_rule=approval.open_rule or "",
        create_time=timestamp(approval.created_us),
        expire_time=timestamp(approval.until_us or None),
        decide_time=timestamp(approval.decided_us),
        update_time=timestamp(approval.changed_us),
        updater={"name": approval.changed_by, "source": approval.changed_from},
        cause=approval.cause,
        takes_passkey=approval.takes_passkey,
    )


def recorded_message(approval: Approval, record: Recorded) -> pb.Approval:
    """An approval with its evidence and answers."""
    message = approval_message(approval)
    message.evidence.CopyFrom(
        pb.ApprovalEvidence(
            arguments_json=record.arguments or "",
            facts_json=record.document,
            recent_answers=map(_recent, record.recent),
        )
    )
    message.answers.extend(map(_answer, record.answers))
    return message


def permit_message(permit: Permit) -> permits_pb2.Permit:
    """A permit."""
    state = permits_pb2.Permit.STATE_ACTIVE if permit.is_active else permits_pb2.Permit.STATE_ENDED
    message = permits_pb2.Permit(
        id=permit.id,
        state=state,
        approval=permit.approval_id,
        grant=permit.grant,
        server=permit.server,
        tool=permit.tool,
        pin_digest=permit.pin_digest or "",
        rules=[rule for rule, _ in permit.rules],
        arguments=_conditions(read_json(permit.terms)),
        max_uses=permit.max_uses,
        uses_left=permit.uses_left,
        create_time=timestamp(permit.made_us),
        expire_time=timestamp(permit.ends_us),
        cause=permit.cause,
    )
    message.creators.extend(actor_pb2.Person(issuer=one.issuer, subject=one.subject) for one in permit.made_by)
    return message


def _need(need: Need) -> pb.ApprovalNeed:
    bounds = need.permit
    permit = (
        None
        if bounds is None
        else pb.PermitBounds(max_uses=bounds.max_uses, max_duration=duration(bounds.max_duration_us))
    )
    return pb.ApprovalNeed(
        rule=need.rule,
        approvers=need.approvers,
        count=need.count,
        reason_required=need.reason_required,
        timeout=duration(need.timeout_us),
        valid_duration=duration(need.valid_us),
        permit=permit,
    )


def _answer(given: Given) -> pb.ApprovalAnswer:
    return pb.ApprovalAnswer(
        person=person_message(given.person),
        groups=given.groups,
        verdict=_VERDICTS[given.verdict],
        reason=given.reason,
        source=given.source,
        permit=None if given.terms is None else _offer(read_json(given.terms)),
        create_time=timestamp(given.answered_us),
        superseded=not given.is_current,
        passkey=given.passkey or "",
    )


def _offer(offer: Mapping[str, Any]) -> pb.PermitOffer:
    return pb.PermitOffer(
        arguments=_conditions(offer["terms"]),
        max_uses=offer["uses"],
        duration=duration(offer["duration_us"]),
    )


def _recent(row: Mapping[str, Any]) -> pb.RecentAnswer:
    return pb.RecentAnswer(
        approval=row["approval"],
        person=person_message(Person(row["issuer"], row["subject"])),
        verdict=_VERDICTS[Verdict(row["verdict"])],
        reason=row["reason"],
        create_time=timestamp(row["answered_us"]),
    )


def _conditions(terms: Mapping[str, Mapping[str, Any]]) -> dict[str, permits_pb2.ArgumentCondition]:
    return {name: _condition(*next(iter(condition.items()))) for name, condition in terms.items()}


def _condition(kind: str, wanted: Any) -> permits_pb2.ArgumentCondition:  # noqa: ANN401  JSON
    if kind == "exactly":
        return permits_pb2.ArgumentCondition(exactly_json=write_json(wanted))
    if kind == "at_most":
        least, greatest = map(write_json, wanted)
        return permits_pb2.ArgumentCondition(at_most={"least_json": least, "greatest_json": greatest})
    if kind == "one_of":
        return permits_pb2.ArgumentCondition(one_of={"values_json": map(write_json, wanted)})
    return permits_pb2.ArgumentCondition(any=True)
