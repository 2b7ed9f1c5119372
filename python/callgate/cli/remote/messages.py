"""Approvals of the admin API as the parts of which commands print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from callgate._proto.callgate.admin.v1 import approvals_pb2 as pb
from callgate._proto.callgate.admin.v1 import permits_pb2
from callgate.errors import CallgateError
from callgate.exact_json import read_json, write_json
from callgate.store.approvals.recorded import Given, Recorded
from callgate.store.model import Approval, Call, Need, PermitBounds, Person, State, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.timestamp_pb2 import Timestamp

    from callgate._proto.callgate.admin.v1 import actor_pb2
    from callgate.store.model import PermitOffer

_Message = TypeVar("_Message", bound=Message)

STATES: Final = {
    State.PENDING: pb.Approval.STATE_PENDING,
    State.APPROVED: pb.Approval.STATE_APPROVED,
    State.DENIED: pb.Approval.STATE_DENIED,
    State.CONSUMED: pb.Approval.STATE_CONSUMED,
    State.EXPIRED: pb.Approval.STATE_EXPIRED,
    State.ENDED: pb.Approval.STATE_ENDED,
}
_KNOWN: Final = {number: state for state, number in STATES.items()}


def read_message(document: Mapping[str, Any], kind: type[_Message]) -> _Message:
    """A message from JSON; fields of later versions are ignored.

    Raises:
        CallgateError: It is none.
    """
    message = kind()
    try:
        json_format.ParseDict(dict(document), message, ignore_unknown_fields=True)
    except json_format.ParseError:
        text = f"the admin port answers with something else than a `{kind.DESCRIPTOR.name}`; is it of this version?"
        raise CallgateError(text) from None
    return message


def approval_of(message: pb.Approval) -> Approval:
    """An approval without evidence. The API has a part of the policy's digest, and not the number of the change."""
    owner = _person(message.grant_owner) if message.HasField("grant_owner") else None
    call = Call(
        message.fingerprint,
        message.grant,
        message.server,
        message.tool,
        message.policy_version,
        message.pin_digest or None,
        owner,
    )
    if message.state not in _KNOWN:
        text = f"the approval `{message.id}` has a state that this version does not know; update callgate"
        raise CallgateError(text)
    return Approval(
        id=message.id,
        call=call,
        needs=tuple(map(_need, message.needs)),
        open_rule=message.open_rule or None,
        state=_KNOWN[message.state],
        created_us=_us(message.create_time),
        until_us=_us(message.expire_time),
        decided_us=_us(message.decide_time) if message.HasField("decide_time") else None,
        changed_us=_us(message.update_time),
        changed_by=message.updater.name,
        changed_from=message.updater.source,
        cause=message.cause,
        use_id=None,
        change=0,
        takes_passkey=message.takes_passkey,
    )


def record_of(message: pb.Approval) -> Recorded:
    """The evidence and the answers of an approval."""
    evidence = message.evidence
    recent = tuple(
        {
            "approval": one.approval,
            "issuer": one.person.issuer,
            "subject": one.person.subject,
            "verdict": _verdict(one.verdict).value,
            "reason": one.reason,
            "answered_us": _us(one.create_time),
        }
        for one in evidence.recent_answers
    )
    answers = tuple(map(_given, message.answers))
    return Recorded(evidence.arguments_json or None, evidence.facts_json or "{}", recent, answers)


def offer_message(offer: PermitOffer) -> pb.PermitOffer:
    """The message of a permit that is offered."""
    message = pb.PermitOffer(max_uses=offer.uses)
    message.duration.FromMicroseconds(offer.duration_us)
    for name, condition in read_json(offer.terms).items():
        [(kind, wanted)] = condition.items()
        message.arguments[name].CopyFrom(_condition(kind, wanted))
    return message


def _condition(kind: str, wanted: Any) -> permits_pb2.ArgumentCondition:  # noqa: ANN401  JSON
    if kind == "exactly":
        return permits_pb2.ArgumentCondition(exactly_json=write_json(wanted))
    if kind == "at_most":
        least, greatest = map(write_json, wanted)
        return permits_pb2.ArgumentCondition(at_most={"least_json": least, "greatest_json": greatest})
    if kind == "one_of":
        return permits_pb2.ArgumentCondition(one_of={"values_json": map(write_json, wanted)})
    return permits_pb2.ArgumentCondition(any=True)


def _terms(condition: permits_pb2.ArgumentCondition) -> str:
    """A condition as the JSON of terms."""
    match condition.WhichOneof("condition"):
        case "exactly_json":
            return f'{{"exactly": {condition.exactly_json}}}'
        case "at_most":
            return f'{{"at_most": [{condition.at_most.least_json}, {condition.at_most.greatest_json}]}}'
        case "one_of":
            return f'{{"one_of": [{", ".join(condition.one_of.values_json)}]}}'
        case _:
            return '{"any": true}'


def _given(answer: pb.ApprovalAnswer) -> Given:
    terms = None
    if answer.HasField("permit"):
        conditions = ", ".join(
            f"{write_json(name)}: {_terms(one)}" for name, one in sorted(answer.permit.arguments.items())
        )
        duration_us = answer.permit.duration.ToMicroseconds()
        terms = f'{{"terms": {{{conditions}}}, "uses": {answer.permit.max_uses}, "duration_us": {duration_us}}}'
    return Given(
        _person(answer.person),
        tuple(answer.groups),
        _verdict(answer.verdict),
        answer.reason,
        answer.source,
        terms,
        _us(answer.create_time),
        not answer.superseded,
        answer.passkey or None,
    )


def _need(need: pb.ApprovalNeed) -> Need:
    permit = None
    if need.HasField("permit"):
        permit = PermitBounds(need.permit.max_uses, need.permit.max_duration.ToMicroseconds())
    return Need(
        rule=need.rule,
        entry_digest="",
        timeout_us=need.timeout.ToMicroseconds(),
        valid_us=need.valid_duration.ToMicroseconds(),
        approvers=tuple(need.approvers),
        count=need.count,
        reason_required=need.reason_required,
        permit=permit,
    )


def _verdict(number: int) -> Verdict:
    return Verdict.APPROVE if number == pb.ApprovalAnswer.VERDICT_APPROVE else Verdict.DENY


def _person(person: actor_pb2.Person) -> Person:
    return Person(person.issuer, person.subject)


def _us(at: Timestamp) -> int:
    return int(at.ToMicroseconds())
