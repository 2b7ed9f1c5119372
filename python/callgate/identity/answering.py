"""Answers to approvals: the right to give one, for the admin API, its pages and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate.store.approvals.answer import Answer, refusal_of
from callgate.store.errors import AnswererError

if TYPE_CHECKING:
    from callgate.identity.principal import Principal
    from callgate.store.model import Approval, PermitOffer, Person, Verdict
    from callgate.store.store import Store


_NO_PERSON: Final = "only a person answers approvals"


def refusal(principal: Principal, approval: Approval, owner: Person | None) -> str | None:
    """The reason for which somebody may not answer an approval; None if they may.

    `owner` is the person to whom the grant belongs now.
    """
    if principal.person is None:
        return _NO_PERSON
    if not principal.may_answer():
        return "you may read this, but answers take the role `approver` or `admin`"
    return refusal_of(approval, principal.person, principal.groups, owner)


def answer(
    store: Store,
    principal: Principal,
    approval: Approval,
    verdict: Verdict,
    *,
    source: str,
    reason: str,
    owner: Person | None,
    now_us: int,
    permit: PermitOffer | None = None,
    passkey: str | None = None,
) -> Approval:
    """Writes an answer, recorded in the admin audit; the approval that it leads to.

    Args:
        store: The store of the approval.
        principal: The person who answers.
        approval: The approval.
        verdict: The answer.
        source: The place that it came from, such as the address of a connection.
        reason: The words of the person; they may be empty if the approval needs none.
        owner: The person to whom the grant belongs now.
        now_us: The time in Unix microseconds.
        permit: The permit that is offered in place of one call.
        passkey: The passkey that was verified for this answer.

    Raises:
        AnswererError: This person may not answer this approval.
        AnswerError: The answer cannot be given.
        StateError: The approval is not pending any more.
        StoreError: The store does not answer.
    """
    person, refused = principal.person, refusal(principal, approval, owner)
    if person is None or refused is not None:
        raise AnswererError(refused or _NO_PERSON)
    given = Answer(person, principal.groups, verdict, source, reason, permit, owner, passkey)
    return store.approvals.answer(approval.id, given, now_us)
