"""Changes of documents that take effect once another person has confirmed them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, insert, select, update

from callgate.store import audit
from callgate.store.database import Domain
from callgate.store.errors import ConflictError, StateError, UnknownIdError
from callgate.store.model import Actor
from callgate.store.pages import read_page
from callgate.store.tables.proposals import proposals

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database
    from callgate.store.pages import Page

KEPT_US: Final = 7 * 24 * 3_600 * 1_000_000
"""The time for which a proposal waits."""

MOST_PENDING: Final = 200
"""Proposals that wait at once."""

KIND: Final = "proposals"
"""The kind of records in the admin audit."""

_TABLE: Final = proposals.c


class ProposalState(str, Enum):
    """The state of a proposal."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """The state of a pending one whose time is over; it is not written."""


@dataclass(frozen=True)
class NewProposal:
    """A change that somebody proposes."""

    id: str
    kind: str
    object_id: str
    content: str | None
    """The document; None for a deletion."""
    base_version: int
    """The version in force; 0 for none."""
    reason: str
    behind: str
    """The name in records of the person who proposes, or of the maker of the machine's token."""


@dataclass(frozen=True)
class Proposal:
    """A proposal as stored."""

    id: str
    kind: str
    object_id: str
    content: str | None
    base_version: int
    reason: str
    behind: str
    state: ProposalState
    made_us: int
    until_us: int
    by: Actor
    decided_us: int | None = None
    decider: Actor | None = None
    decided_reason: str = ""


class Proposals:
    """Proposals."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def make(self, new: NewProposal, by: Actor, now_us: int) -> Proposal:
        """Stores a proposal; recorded in the admin audit.

        Raises:
            ConflictError: Too many wait.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> Proposal:
            waiting = (_TABLE.state == ProposalState.PENDING.value, _TABLE.until_us > now_us)
            number = connection.execute(select(func.count()).select_from(proposals).where(*waiting)).scalar_one()
            if number >= MOST_PENDING:
                message = f"{MOST_PENDING} proposals wait for people already; confirm or reject some first"
                raise ConflictError(message, 0)
            made = insert(proposals).values(
                id=new.id,
                kind=new.kind,
                object_id=new.object_id,
                content=new.content,
                base_version=new.base_version,
                reason=new.reason,
                state=ProposalState.PENDING.value,
                made_us=now_us,
                until_us=now_us + KEPT_US,
                made_by=by.name,
                made_from=by.source,
                behind=new.behind,
            )
            proposal = _proposal(connection.execute(made.returning(*_TABLE)).one(), now_us)
            change = audit.Change(by, "propose", KIND, new.id, new.reason, None, _digest(proposal))
            audit.record(connection, [change], now_us)
            return proposal

        return self._database.write(work, Domain.ADMINISTRATION)

    def get(self, proposal_id: str, now_us: int) -> Proposal:
        """A proposal in its state at this time.

        Raises:
            UnknownIdError: There is none.
            StoreError: The store does not answer.
        """
        return self._database.read(lambda at: _proposal(_row(at, proposal_id), now_us))

    def page(
        self, now_us: int, *, state: ProposalState | None = None, size: int = 100, token: str | None = None
    ) -> Page[Proposal]:
        """Proposals, newest first, those without an answer whose time is over among the expired ones.

        Raises:
            PageTokenError: The token is none.
            StoreError: The store does not answer.
        """
        query = select(proposals)
        over = _TABLE.until_us <= now_us
        if state in {ProposalState.PENDING, ProposalState.EXPIRED}:
            is_over = over if state is ProposalState.EXPIRED else ~over
            query = query.where(_TABLE.state == ProposalState.PENDING.value, is_over)
        elif state is not None:
            query = query.where(_TABLE.state == state.value)
        key = (_TABLE.made_us, _TABLE.id)

        def work(connection: Connection) -> Page[Proposal]:
            return read_page(connection, query, key, lambda row: _proposal(row, now_us), size=size, token=token)

        return self._database.read(work)

    def decide(self, proposal_id: str, state: ProposalState, by: Actor, reason: str, now_us: int) -> Proposal:
        """Ends a pending one as confirmed or rejected; recorded in the admin audit.

        Raises:
            UnknownIdError: There is none.
            StateError: It is not pending.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> Proposal:
            before = _proposal(_row(connection, proposal_id), now_us)
            if before.state is not ProposalState.PENDING:
                raise StateError("proposal", proposal_id, before.state.value, "nothing can be decided about it")
            decided = (
                update(proposals)
                .where(_TABLE.id == proposal_id)
                .values(
                    state=state.value,
                    decided_us=now_us,
                    decided_by=by.name,
                    decided_from=by.source,
                    decided_reason=reason,
                )
            )
            after = _proposal(connection.execute(decided.returning(*_TABLE)).one(), now_us)
            action = "confirm" if state is ProposalState.CONFIRMED else "reject"
            change = audit.Change(by, action, KIND, proposal_id, reason, _digest(before), _digest(after))
            audit.record(connection, [change], now_us)
            return after

        return self._database.write(work, Domain.ADMINISTRATION)


def _row(connection: Connection, proposal_id: str) -> Any:  # noqa: ANN401  a row has its query's columns
    row = connection.execute(select(proposals).where(_TABLE.id == proposal_id)).one_or_none()
    if row is None:
        message = f"there is no proposal `{proposal_id}`"
        raise UnknownIdError(message)
    return row


def _digest(proposal: Proposal) -> str:
    content = "" if proposal.content is None else proposal.content
    return hashlib.sha256(f"{proposal.state.value}\0{proposal.object_id}\0{content}".encode()).hexdigest()


def _proposal(row: Any, now_us: int) -> Proposal:  # noqa: ANN401  as above
    state = ProposalState(row.state)
    if state is ProposalState.PENDING and row.until_us <= now_us:
        state = ProposalState.EXPIRED
    return Proposal(
        id=row.id,
        kind=row.kind,
        object_id=row.object_id,
        content=row.content,
        base_version=row.base_version,
        reason=row.reason,
        behind=row.behind,
        state=state,
        made_us=row.made_us,
        until_us=row.until_us,
        by=Actor(row.made_by, row.made_from),
        decided_us=row.decided_us,
        decider=None if row.decided_by is None else Actor(row.decided_by, row.decided_from or ""),
        decided_reason=row.decided_reason or "",
    )
