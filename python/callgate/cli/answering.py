"""Answers of the person at the command line: who that is, which approval is meant, and the words for the result."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from callgate import clock
from callgate.approvals.offer import looked_at, make_terms, masked_names, parse_term, shown_terms
from callgate.approvals.sections import listed, seen
from callgate.approvals.shown import ARGUMENTS, approval_sections, need_fields, read_evidence
from callgate.approvals.times import brief, exact, instant
from callgate.approvals.withdrawing import check_withdrawal
from callgate.config.bundle import known_grants
from callgate.errors import CallgateError
from callgate.exact_json import read_json
from callgate.identity.answering import answer
from callgate.identity.local import local_principal
from callgate.identity.secret_text import new_id
from callgate.store.errors import AnswerError, UnknownIdError
from callgate.store.model import PermitOffer, Person, State, Verdict
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.approvals.sections import Section
    from callgate.cli.stores import OpenStore
    from callgate.identity.principal import Principal
    from callgate.store.approvals.recorded import Recorded
    from callgate.store.model import Actor, Approval
    from callgate.store.store import Store
    from callgate.store.unknown import Noun

_LEAST: Final = 4
"""Characters by which an approval or a permit may be named."""


class Found(Protocol):
    """A part of the store whose rows have ids."""

    def find(self, beginning: str, *, size: int = 10) -> list[str]:
        """The ids that begin so."""


@dataclass(frozen=True)
class Operator:
    """The person at the command line."""

    opened: OpenStore
    principal: Principal

    @property
    def actor(self) -> Actor:
        """The maker of changes."""
        return self.principal.actor(_source())

    def must_answer(self) -> None:
        """Refuses a person who may answer no approval, before anything is asked.

        Raises:
            CallgateError: The person has no role that answers.
        """
        if not self.principal.may_answer():
            message = f"{self.principal.name} may not answer: the store does not give this person the role `approver`"
            raise CallgateError(message)

    def answer(self, approval: Approval, verdict: Verdict, reason: str, permit: PermitOffer | None = None) -> Approval:
        """Writes an answer; the approval that it leads to.

        Raises:
            AnswerError: This person may not give this answer.
            StateError: The approval is not pending any more.
            StoreError: The store does not answer.
        """
        self.must_answer()
        groups = self.principal.groups
        owner = owner_of(self.opened, approval.call.grant)
        if not any(need.asks(groups) for need in approval.needs) and self.opened.store.people.is_empty():
            wanted = listed(sorted({group for need in approval.needs for group in need.approvers}), "and")
            message = (
                f"this approval asks people of the groups {wanted}, and nobody has groups as long as the store has no "
                "people; `callgate admin people add NAME --role approver --group GROUP` makes one"
            )
            raise AnswerError(message)
        return answer(
            self.opened.store,
            self.principal,
            approval,
            verdict,
            source=_source(),
            reason=reason,
            owner=owner,
            now_us=clock.now_us(),
            permit=permit,
        )


def withdraw(person: Operator, approval_id: str, reason: str) -> Approval:
    """Ends an approval; the approval after it.

    Raises:
        AnswerError: This person may not withdraw it.
        StateError: It is consumed or has ended.
        StoreError: The store does not answer.
    """
    store = person.opened.store.approvals
    approval, answers = store.get(approval_id, clock.now_us()), store.record(approval_id).answers
    principal = person.principal
    owner = owner_of(person.opened, approval.call.grant)
    check_withdrawal(approval, answers, principal.person, principal.roles, set() if owner is None else {owner})
    return store.withdraw(approval_id, person.actor, reason, clock.now_us())


def operator(opened: OpenStore) -> Operator:
    """The operating system's user, as the store knows this person.

    Raises:
        IdentityError: The store has people, and this user is none of them.
        StoreError: The store does not answer.
    """
    return Operator(opened, local_principal(opened.store))


def owner_of(opened: OpenStore, grant: str) -> Person | None:
    """The present owner of a grant, of the configuration or of the store."""
    if opened.loaded is not None:
        for placed in known_grants(opened.loaded):
            if placed.grant.id == grant and placed.grant.owner is not None:
                return Person(placed.grant.owner.issuer, placed.grant.owner.subject)
    try:
        content = opened.store.grants.get(grant).content
    except UnknownIdError:
        return None
    document = read_json(content) if content else None
    owner = document.get("owner") if isinstance(document, dict) else None
    return None if owner is None else Person(str(owner["issuer"]), str(owner["subject"]))


def full_id(store: Store, noun: Noun, text: str) -> str:
    """The id that a user names by its beginning.

    Raises:
        UnknownIdError: None begins so, or several do.
    """
    others: Found = store.permits if noun == "approval" else store.approvals
    rows: Found = store.approvals if noun == "approval" else store.permits
    found = rows.find(text)
    if text in found:
        return text
    if len(text) < _LEAST:
        message = f"{quoted(text)} is too short: expected at least {_LEAST} characters of the id of the {noun}"
    elif not found and len(named := others.find(text)) == 1:
        # Decisions name a permit in the same field.
        other = "a permit" if noun == "approval" else "an approval"
        message = f"`{named[0]}` is {other}; see `callgate {other.split()[1]}s show {named[0]}`"
    elif not found:
        message = f"there is no {noun} {quoted(text)} in `{store.place}`; `callgate {noun}s list` prints them"
        message += ", and --state or --config names another store"
    elif len(found) > 1:
        message = f"several ids begin with {quoted(text)}: {', '.join(found)}; give more characters"
    else:
        return found[0]
    raise UnknownIdError(message)


def make_offer(approval: Approval, record: Recorded, uses: int, duration_us: int, words: Sequence[str]) -> PermitOffer:
    """The permit that an approver makes of an approval.

    Raises:
        AnswerError: The terms cannot be.
    """
    must_allow_permit(approval)
    chosen = {}
    for name, condition in map(parse_term, words):
        if name in chosen:
            message = f"{quoted(name)} has two terms; give one"
            raise AnswerError(message)
        chosen[name] = condition
    evidence, arguments = read_evidence(record), permit_arguments(approval, record)
    terms = make_terms(arguments, chosen, looked_at(evidence), masked_names(evidence))
    return PermitOffer(new_id(), terms, uses, duration_us)


def must_allow_permit(approval: Approval) -> None:
    """Refuses a permit of an approval whose rules allow none.

    Raises:
        AnswerError: A rule allows none.
    """
    unable = next((need.rule for need in approval.needs if need.permit is None), None)
    if unable is not None:
        message = f"the rule `{seen(unable)}` lets nobody make a permit; without its options, the call is approved once"
        raise AnswerError(message)


def permit_arguments(approval: Approval, record: Recorded) -> dict[str, Any]:
    """The arguments of the call, for which a permit has terms.

    Raises:
        AnswerError: They are deleted, or cannot be read.
    """
    try:
        arguments = read_json(record.arguments or "")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        message = f"the arguments of the approval `{approval.id}` are not there, so that it has no terms for a permit"
        raise AnswerError(message)
    return arguments


def offer_lines(offer: PermitOffer) -> Iterator[str]:
    """A permit before it is made, in words."""
    yield f"permit for {_uses(offer.uses)} within {exact(offer.duration_us)}, for calls with these arguments:"
    yield from (f"  {name}: {condition}" for name, condition in shown_terms(offer.terms))
    yield "  every other argument: absent"


def sections_to_answer(approval: Approval, record: Recorded, owner: Person | None) -> list[Section]:
    """The evidence with the arguments at its end, right before the question."""
    sections = approval_sections(approval, record, clock.now_us(), owner)
    return sorted(sections, key=lambda section: section.title == ARGUMENTS)


def result_lines(
    approval: Approval, record: Recorded, permit: PermitOffer | None, owner: Person | None
) -> Iterator[str]:
    """The words for the result of an answer."""
    now = clock.now_us()
    what = call_line(approval)
    until = f"until {instant(approval.until_us)} ({brief(approval.until_us - now)} left)"
    match approval.state:
        case State.APPROVED:
            yield f"approved: {approval.id}, {what}; the agent can make this call once, {until}"
        case State.DENIED:
            yield f"denied: {approval.id}, {what}; the same call is denied {until}"
        case State.CONSUMED if permit is not None:
            yield f"permit: {permit.permit_id}, {what}; {_uses(permit.uses)} within {exact(permit.duration_us)}"
        case State.PENDING:
            yield f"recorded: {approval.id}, {what}; more approvals are needed {until}:"
            for field in need_fields(approval, record.answers, owner):
                yield f"  {field.name}: {field.text}"
            if permit is not None:
                yield "others have to agree to the same permit; `callgate approvals show` prints its options"
        case _:
            yield f"{approval.state.value}: {approval.id}, {what}"


def call_line(approval: Approval) -> str:
    """The call in a few words."""
    call = approval.call
    return f"`{seen(call.tool)}` at `{seen(call.server)}` for `{seen(call.grant)}`"


def _uses(count: int) -> str:
    return "1 use" if count == 1 else f"{count} uses"


def _source() -> str:
    return f"command line at {socket.gethostname()}"
