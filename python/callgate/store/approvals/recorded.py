"""The evidence of an approval, and the people who answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from callgate.store.model import Person, Verdict
from callgate.store.tables import answers, evidence, permits
from callgate.store.unknown import unknown_id

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


@dataclass(frozen=True)
class Given:
    """An answer as it is stored."""

    person: Person
    groups: tuple[str, ...]
    verdict: Verdict
    reason: str
    source: str
    terms: str | None
    """The offered permit as JSON: `terms`, `uses` and `duration_us`."""
    answered_us: int
    is_current: bool
    """False once another answer of the person, or other terms, took its place, or the person was changed."""
    passkey: str | None = None
    """The passkey that was used for the answer."""


@dataclass(frozen=True)
class Recorded:
    """The evidence of an approval, frozen at its creation, and its answers."""

    arguments: str | None
    """The masked arguments as JSON; None once their time is over."""
    document: str
    """The rest of the evidence as JSON."""
    recent: tuple[dict[str, Any], ...]
    """The last answers for the same grant and tool, at the creation."""
    answers: tuple[Given, ...]
    """All answers, oldest first."""
    permit_id: str | None = None
    """The permit that was made of it, also if that has ended; None if there is none."""


def read_record(connection: Connection, approval_id: str) -> Recorded:
    """The evidence and the answers.

    Raises:
        UnknownIdError: There is no such approval.
    """
    shown = connection.execute(select(evidence).where(evidence.c.approval_id == approval_id)).one_or_none()
    if shown is None:
        raise unknown_id(connection, "approval", approval_id)
    query = select(answers).where(answers.c.approval_id == approval_id).order_by(answers.c.number)
    given = tuple(
        Given(
            Person(row.issuer, row.subject),
            tuple(row.groups),
            Verdict(row.verdict),
            row.reason,
            row.source,
            row.terms,
            row.answered_us,
            row.is_current,
            row.passkey,
        )
        for row in connection.execute(query)
    )
    made = select(permits.c.id).where(permits.c.approval_id == approval_id)
    permit_id = connection.execute(made).scalar_one_or_none()
    return Recorded(shown.arguments, shown.document, tuple(shown.recent), given, permit_id)
