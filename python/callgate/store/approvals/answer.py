"""Answers of people: who may answer, and when an approval has enough of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, update

from callgate.exact_json import read_json
from callgate.store.approvals.given import current, open_rule
from callgate.store.approvals.state import locked, record, set_state
from callgate.store.errors import AnswererError, AnswerError, PasskeyNeededError, ReasonError, StateError
from callgate.store.issuers import LOCAL_ISSUER
from callgate.store.model import Actor, Approval, PermitOffer, Person, State, Verdict, from_row
from callgate.store.notices.model import NoticeEvent
from callgate.store.people import Role, has_nobody, read_person
from callgate.store.permits import make_permit
from callgate.store.tables import answers
from callgate.store.terms import is_equal, read_terms
from callgate.text import plain_line

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_TABLE: Final = answers.c
_ANSWERING: Final = frozenset({Role.APPROVER, Role.ADMIN})


@dataclass(frozen=True)
class Answer:
    """One person's answer. The caller has checked that the person has the role of an approver or admin."""

    person: Person
    groups: frozenset[str]
    """The groups of a person whom the store does not know; those of local people are read with the answer."""
    verdict: Verdict
    source: str
    """The place that it came from."""
    reason: str = ""
    permit: PermitOffer | None = None
    owner: Person | None = None
    """The owner of the grant now, who may not answer, like the owner at the approval's creation."""
    passkey: str | None = None
    """The id of the passkey that the person has used for this answer; the caller has verified it."""


def give_answer(connection: Connection, approval_id: str, answer: Answer, now_us: int) -> Approval:
    """Writes an answer, and decides the approval if it is the last one that is needed; recorded in the admin audit.

    Raises:
        UnknownIdError: There is no such approval.
        StateError: It is not pending.
        AnswerError: This person may not give this answer.
    """
    approval = from_row(locked(connection, approval_id), now_us)
    if approval.state is not State.PENDING:
        anew = "; to ask anew, withdraw it" if approval.state in {State.APPROVED, State.DENIED} else ""
        raise StateError("approval", approval_id, approval.state.value, f"it cannot be answered{anew}")
    # An agent is told the reason of a denial, in a terminal that it may rearrange.
    answer = replace(answer, groups=_groups(connection, answer), reason=plain_line(answer.reason))
    _check(approval, answer)
    by = Actor(str(answer.person), answer.source)
    answered = _write(connection, approval, answer, by, now_us)
    record(connection, by, answer.verdict.value, approval, answered, answer.reason, now_us)
    return answered


def _write(connection: Connection, approval: Approval, answer: Answer, by: Actor, now_us: int) -> Approval:
    """Writes an answer that may be given, and the state that it leads to."""
    approval_id = approval.id
    decided: dict[str, Any]
    _replace(connection, approval_id, answer)
    offer = _offer(answer)
    connection.execute(
        insert(answers).values(
            approval_id=approval_id,
            issuer=answer.person.issuer,
            subject=answer.person.subject,
            groups=sorted(answer.groups),
            verdict=answer.verdict.value,
            reason=answer.reason,
            source=answer.source,
            terms=offer,
            passkey=answer.passkey,
            answered_us=now_us,
            is_current=True,
        )
    )
    if answer.verdict is Verdict.DENY:
        # A denial holds as long as a pending one waits.
        until_us = now_us + min(need.timeout_us for need in approval.needs)
        decided = {"until_us": until_us, "decided_us": now_us}
        event = NoticeEvent.DENIED
        return set_state(connection, approval, State.DENIED, by, answer.reason, now_us, event=event, **decided)
    owners = {approval.call.owner, answer.owner}
    # A person may have become the owner after the answer.
    given = current(connection, approval_id, owners)
    rule = open_rule(approval.needs, given)
    if rule is not None:
        event = NoticeEvent.ANSWERED
        return set_state(
            connection, approval, State.PENDING, by, "approved in part", now_us, event=event, open_rule=rule
        )
    until_us = now_us + min(need.valid_us for need in approval.needs)
    decided = {"until_us": until_us, "decided_us": now_us, "open_rule": None, "event": NoticeEvent.APPROVED}
    if answer.permit is None:
        return set_state(connection, approval, State.APPROVED, by, answer.reason, now_us, **decided)
    people = sorted(Person(row.issuer, row.subject) for row in given)
    make_permit(connection, approval, answer.permit, people, by, now_us)
    return set_state(connection, approval, State.CONSUMED, by, "made into a permit", now_us, **decided)


def refusal_of(approval: Approval, person: Person, groups: frozenset[str], owner: Person | None) -> str | None:
    """The reason for which an approver may not answer an approval; None if they may.

    `owner` is the owner of the grant now.
    """
    if person in {approval.call.owner, owner}:
        return f"the grant `{approval.call.grant}` belongs to you, so that somebody else has to answer"
    if not any(need.asks(groups) for need in approval.needs):
        wanted = sorted({group for need in approval.needs for group in need.approvers})
        return f"this approval asks people of other groups: {', '.join(f'`{group}`' for group in wanted)}"
    return None


def _groups(connection: Connection, answer: Answer) -> frozenset[str]:
    """The present groups of the person, who may have been changed since the caller looked.

    Raises:
        AnswererError: The person may not answer any more.
    """
    if answer.person.issuer != LOCAL_ISSUER:
        return answer.groups
    person = read_person(connection, answer.person.subject)
    if person is not None and person.is_active and not person.roles.isdisjoint(_ANSWERING):
        return person.groups
    if person is None and has_nobody(connection):
        # The operating system's user, as an admin without groups.
        return frozenset()
    message = f"`{answer.person.subject}` may not answer any more"
    raise AnswererError(message)


def _check(approval: Approval, answer: Answer) -> None:
    """Refuses answers that this person may not give."""
    refusal = refusal_of(approval, answer.person, answer.groups, answer.owner)
    if refusal is not None:
        raise AnswererError(refusal)
    if approval.takes_passkey and answer.verdict is Verdict.APPROVE and answer.passkey is None:
        message = (
            f"approving this takes a passkey: open `/approvals/{approval.id}` of the admin port in a browser; denying "
            "takes none"
        )
        raise PasskeyNeededError(message)
    is_reason_required = answer.verdict is Verdict.APPROVE and any(need.reason_required for need in approval.needs)
    if is_reason_required and not answer.reason:
        message = "this approval needs a reason"
        raise ReasonError(message)
    if answer.permit is not None:
        _check_permit(approval, answer, answer.permit)


def _check_permit(approval: Approval, answer: Answer, offer: PermitOffer) -> None:
    """Refuses a permit beyond the bounds of any rule that asked."""
    if answer.verdict is Verdict.DENY:
        message = "a denial makes no permit"
        raise AnswerError(message)
    read_terms(offer.terms)
    for need in approval.needs:
        if need.permit is None:
            message = f"the rule `{need.rule}` lets nobody make a permit"
            raise AnswerError(message)
        if not 1 <= offer.uses <= need.permit.max_uses:
            message = f"the rule `{need.rule}` allows a permit of 1 to {need.permit.max_uses} uses, got {offer.uses}"
            raise AnswerError(message)
        if not 1 <= offer.duration_us <= need.permit.max_duration_us:
            seconds = need.permit.max_duration_us // 1_000_000
            message = f"the rule `{need.rule}` allows a permit of at most {seconds} s"
            raise AnswerError(message)


def _replace(connection: Connection, approval_id: str, answer: Answer) -> None:
    """Takes earlier answers out of force: the person's own, and those with other terms."""
    given = current(connection, approval_id)
    offer = _offer(answer)
    replaced = [
        row.number
        for row in given
        if answer.person == Person(row.issuer, row.subject)
        or (answer.verdict is Verdict.APPROVE and not _is_same_offer(row.terms, offer))
    ]
    if replaced:
        connection.execute(update(answers).where(_TABLE.number.in_(replaced)).values(is_current=False))


def _offer(answer: Answer) -> str | None:
    """The offered permit as JSON text."""
    permit = answer.permit
    if permit is None:
        return None
    return f'{{"terms": {permit.terms}, "uses": {permit.uses}, "duration_us": {permit.duration_us}}}'


def _is_same_offer(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one is other
    return is_equal(read_json(one), read_json(other))
