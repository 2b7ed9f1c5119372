"""The parts of notices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from callgate.store.model import Approval, Person

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoticeEvent(str, Enum):
    """An event of an approval that receivers are told of."""

    REQUESTED = "approval.requested"
    """A call waits for people."""
    REMINDER = "approval.reminder"
    """It still waits."""
    ANSWERED = "approval.answered"
    """A person has approved it, and more people are needed."""
    APPROVED = "approval.approved"
    DENIED = "approval.denied"
    EXPIRED = "approval.expired"
    """Its time was over before it was answered, or before it was used."""
    ENDED = "approval.ended"
    """It was withdrawn, or ended with its policy, its grant or its tool."""


WAITS_FOR_PEOPLE = frozenset({NoticeEvent.REQUESTED, NoticeEvent.REMINDER, NoticeEvent.ANSWERED})
"""Events after which an approval still waits for people."""


class NoticeState(str, Enum):
    """The state of a notice."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"
    """A dead letter: it was tried as often as it may be."""
    OBSOLETE = "obsolete"
    """It was not sent, because nobody needs it any more."""


@dataclass(frozen=True)
class Happening:
    """An event as the transaction of its change writes it."""

    approval_id: str
    event: NoticeEvent
    facts: Mapping[str, Any]
    """Facts of the change that the approval does not keep."""


@dataclass(frozen=True)
class NewNotice:
    """A notice for the outbox of a receiver."""

    id: str
    event: NoticeEvent
    due_us: int
    """The time of the first try."""
    link_until_us: int
    """The end of its link."""
    person: Person | None
    """The person to whom the link is bound."""


@dataclass(frozen=True)
class Notice:
    """A notice in the outbox of a receiver."""

    id: str
    receiver: str
    approval_id: str
    event: NoticeEvent
    at_us: int
    """The time of the event."""
    facts: Mapping[str, Any]
    link_until_us: int
    person: Person | None
    state: NoticeState
    tries: int
    due_us: int
    error: str | None
    made_us: int
    done_us: int | None


@dataclass(frozen=True)
class Contents:
    """The things that a message is made of."""

    approval: Approval
    evidence: str
    """The evidence of the approval as JSON, without the arguments."""
    arguments: str | None
    """The arguments as people are shown them; None once their time is over."""


@dataclass(frozen=True)
class TryResult:
    """The state of a notice after a try."""

    id: str
    state: NoticeState
    is_tried: bool = True
    """False if it goes back without a try."""
    due_us: int = 0
    """The time of the next try, of one that waits."""
    error: str | None = None


@dataclass(frozen=True)
class ReceiverStatus:
    """A receiver, and its outbox."""

    name: str
    seen_us: int
    stopped_us: int | None
    stop_cause: str | None
    waiting: int
    dead: int
    oldest_us: int | None
    """The time of the oldest notice that waits."""


def notice_from_row(row: Any) -> Notice:  # noqa: ANN401  a row has its query's columns
    """The notice of a row."""
    person = None if row.person_issuer is None else Person(row.person_issuer, row.person_subject)
    return Notice(
        id=row.id,
        receiver=row.receiver,
        approval_id=row.approval_id,
        event=NoticeEvent(row.event),
        at_us=row.at_us,
        facts=json.loads(row.facts),
        link_until_us=row.link_until_us,
        person=person,
        state=NoticeState(row.state),
        tries=row.tries,
        due_us=row.due_us,
        error=row.error,
        made_us=row.made_us,
        done_us=row.done_us,
    )
