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
    from collections.abc import Mapping

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


@dataclass(frozen=True)
class LiveCounts:
    """The numbers of approvals and permits that can be answered or used at one time."""

    approvals: Mapping[str, int]
    """By state, also those of which there are none."""
    oldest_pending_us: int | None
    """The time at which the oldest pending approval was asked for; None if none is pending."""
    permits: int
    """Permits that are active."""
    next_end_us: int | None
    """The time at which the first of all these is over; None if there are none."""


def count_live(database: Database, now_us: int) -> LiveCounts:
    """The numbers at this time, without what is over and was not written so yet.

    Raises:
        StoreError: The store does not answer.
    """
    number = func.count().label("number")
    states = (
        select(
            _APPROVAL.state,
            number,
            func.min(_APPROVAL.created_us).label("oldest_us"),
            func.min(_APPROVAL.until_us).label("end_us"),
        )
        .where(text(LIVE), _APPROVAL.until_us > now_us)
        .group_by(_APPROVAL.state)
    )
    active = select(number, func.min(_PERMIT.ends_us).label("end_us")).where(text(ACTIVE), _PERMIT.ends_us > now_us)

    def work(connection: Connection) -> LiveCounts:
        found = {row.state: row for row in connection.execute(states)}
        usable = connection.execute(active).one()
        ends = [row.end_us for row in (*found.values(), usable) if row.end_us is not None]
        names = sorted(state.value for state in LIVE_STATES)
        pending = found.get(State.PENDING.value)
        return LiveCounts(
            approvals={name: int(found[name].number) if name in found else 0 for name in names},
            oldest_pending_us=None if pending is None else int(pending.oldest_us),
            permits=int(usable.number),
            next_end_us=min(map(int, ends), default=None),
        )

    return database.read(work)


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
