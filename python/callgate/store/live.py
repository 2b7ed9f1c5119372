"""Approvals and permits that can still be answered or used: their number, and the things that they depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, text

from callgate.store.model import LIVE_STATES, State
from callgate.store.tables import approvals, permits
from callgate.store.tables.approvals import LIVE, PENDING
from callgate.store.tables.permits import ACTIVE

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

_APPROVAL: Final = approvals.c
_PERMIT: Final = permits.c


@dataclass(frozen=True)
class LiveThings:
    """The policies, grants and pinned tools that live approvals and permits depend on."""

    policies: frozenset[str]
    """Digests of the policies of pending approvals."""
    grants: frozenset[str]
    pins: frozenset[tuple[str, str, str]]
    """Server, tool, and the digest of its pinned forms."""


def count_live(database: Database) -> dict[str, int]:
    """The number of approvals in each state that lasts.

    Raises:
        StoreError: The store does not answer.
    """
    query = select(_APPROVAL.state, func.count().label("approvals")).where(text(LIVE)).group_by(_APPROVAL.state)
    found = database.read(lambda at: {row.state: int(row.approvals) for row in at.execute(query)})
    return {state.value: found.get(state.value, 0) for state in sorted(LIVE_STATES, key=lambda state: state.value)}


def read_live(database: Database, now_us: int) -> LiveThings:
    """The things that approvals and permits depend on which are live now, or could be given back.

    Raises:
        StoreError: The store does not answer.
    """

    def work(connection: Connection) -> LiveThings:
        policies = connection.scalars(select(_APPROVAL.policy_digest).where(text(PENDING)).distinct())
        restorable = (_APPROVAL.state == State.CONSUMED.value, _APPROVAL.until_us > now_us)
        grants = {
            *connection.scalars(select(_APPROVAL.grant_id).where(text(LIVE)).distinct()),
            *connection.scalars(select(_APPROVAL.grant_id).where(*restorable).distinct()),
            *connection.scalars(select(_PERMIT.grant_id).where(text(ACTIVE)).distinct()),
        }
        pins = set[tuple[str, str, str]]()
        for table, is_live in ((_APPROVAL, LIVE), (_PERMIT, ACTIVE)):
            columns = select(table.server, table.tool, table.pin_digest)
            query = columns.where(text(is_live), table.pin_digest.is_not(None)).distinct()
            pins.update((row.server, row.tool, row.pin_digest) for row in connection.execute(query))
        return LiveThings(frozenset(policies), frozenset(grants), frozenset(pins))

    return database.read(work)
