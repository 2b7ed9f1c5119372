"""Answers to approvals that are still pending: those that count, and their end when a person is changed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, text, update

from callgate.store.approvals.state import locked, record, set_state
from callgate.store.model import Person, State, Verdict, from_row
from callgate.store.tables import answers, approvals, people
from callgate.store.tables.approvals import PENDING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.engine import Connection

    from callgate.store.model import Actor, Need

_TABLE: Final = answers.c


def current(connection: Connection, approval_id: str, excluded: Collection[Person | None] = ()) -> list[Any]:
    """The rows of the answers that count, oldest first, without those of some people."""
    query = select(answers).where(_TABLE.approval_id == approval_id, _TABLE.is_current).order_by(_TABLE.number)
    return [row for row in connection.execute(query) if Person(row.issuer, row.subject) not in excluded]


def open_rule(needs: Sequence[Need], given: Sequence[Any]) -> str | None:
    """The rule of the first need that has too few answers; None if none has."""
    return next((need.rule for need in needs if not _is_met(need, given)), None)


def void_answers(connection: Connection, person: Person, by: Actor, now_us: int) -> None:
    """Takes the answers of a local person who is changed out of force, and those of users who are no people.

    The latter answered while the store had no people. Recorded in the admin audit. The transaction has the lock of
    calls: an answer that completes the approval comes before the change, or sees it.
    """
    is_person = select(people.c.name).where(people.c.name == _TABLE.subject).exists()
    query = (
        select(_TABLE.number, _TABLE.approval_id, _TABLE.subject)
        .join(approvals, approvals.c.id == _TABLE.approval_id)
        .where(text(f"approvals.{PENDING}"), _TABLE.is_current, _TABLE.issuer == person.issuer)
        .where((_TABLE.subject == person.subject) | ~is_person)
    )
    voided = defaultdict(list)
    for row in connection.execute(query.order_by(_TABLE.number)):
        voided[row.approval_id].append(row)
    for approval_id, rows in voided.items():
        connection.execute(
            update(answers).where(_TABLE.number.in_([row.number for row in rows])).values(is_current=False)
        )
        approval = from_row(locked(connection, approval_id))
        given = current(connection, approval_id, {approval.call.owner})
        names = " and ".join(f"`{row.subject}`" for row in rows)
        cause = f"the answer of {names} counts no longer: the person was changed"
        rule = open_rule(approval.needs, given)
        after = set_state(connection, approval, State.PENDING, by, cause, now_us, open_rule=rule)
        record(connection, by, "void", approval, after, cause, now_us)


def _is_met(need: Need, given: Sequence[Any]) -> bool:
    approving = [row for row in given if row.verdict == Verdict.APPROVE.value]
    return sum(need.asks(row.groups) for row in approving) >= need.count
