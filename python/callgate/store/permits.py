"""Permits in the store. Calls use them in `approvals.ask`; see `uses.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select, text, update

from callgate.store import audit
from callgate.store.changes import Kind, change_rows, next_numbers
from callgate.store.errors import StateError, UnknownIdError
from callgate.store.model import Actor, Approval, PermitOffer, Person
from callgate.store.pages import MOST, Page, find_ids, read_page
from callgate.store.tables import permit_uses, permits
from callgate.store.tables.permits import ACTIVE
from callgate.store.unknown import unknown_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

_TABLE: Final = permits.c


@dataclass(frozen=True)
class Permit:
    """A permit as it is stored."""

    id: str
    approval_id: str
    grant: str
    server: str
    tool: str
    pin_digest: str | None
    rules: tuple[tuple[str, str], ...]
    """The rule pointers, each with the digest of its entry's rules."""
    terms: str
    max_uses: int
    uses_left: int
    is_active: bool
    made_us: int
    ends_us: int
    made_by: tuple[Person, ...]
    cause: str
    """The reason of its end; the way it was made, as long as it is active."""
    change: int


class Permits:
    """Permits."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def give_back(self, use_id: str, now_us: int) -> bool:
        """Gives a use back; false if the permit has ended meanwhile, or the use was given back already.

        Raises:
            UnknownIdError: There is no such use.
            StoreError: The store does not answer.
        """
        return self._database.write(lambda at: _give_back(at, use_id, now_us))

    def end(self, permit_id: str, by: Actor, cause: str, now_us: int) -> Permit:
        """Ends a permit; recorded in the admin audit.

        Raises:
            UnknownIdError: There is none.
            StateError: It has ended already.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> Permit:
            permit = _read(connection, permit_id, now_us)
            if not permit.is_active:
                raise StateError("permit", permit_id, "ended", "it cannot be ended")
            end_some(connection, (_TABLE.id == permit_id,), by, cause, now_us)
            ended = _read(connection, permit_id, now_us)
            digests = audit.digest(permit), audit.digest(ended)
            change = audit.Change(by, "end", Kind.PERMITS.value, permit_id, cause, *digests)
            audit.record(connection, [change], now_us)
            return ended

        return self._database.write(work)

    def end_of_grant(self, grant: str, by: Actor, cause: str, now_us: int) -> int:
        """Ends all of a grant."""
        return self._end((_TABLE.grant_id == grant,), by, cause, now_us)

    def end_of_pin(self, server: str, tool: str, digest: str, by: Actor, now_us: int) -> int:
        """Ends those of a tool that were made under this pin, which is no longer in force."""
        where = (_TABLE.server == server, _TABLE.tool == tool, _TABLE.pin_digest == digest)
        return self._end(where, by, "the tool has changed", now_us)

    def expire_due(self, now_us: int) -> int:
        """Writes that the time of some is over, and returns their number."""
        return self._end((_TABLE.ends_us <= now_us,), Actor("callgate", ""), "its time is over", now_us)

    def get(self, permit_id: str, now_us: int) -> Permit:
        """A permit in its state at this time.

        Raises:
            UnknownIdError: There is none.
            StoreError: The store does not answer.
        """
        return self._database.read(lambda at: _read(at, permit_id, now_us))

    def find(self, beginning: str, *, size: int = 10) -> list[str]:
        """The ids that begin so, at most `size` of them; the whole id finds itself."""
        return self._database.read(lambda at: find_ids(at, _TABLE.id, beginning, size))

    def page(
        self,
        now_us: int,
        *,
        grant: str | None = None,
        active: bool = False,
        size: int = 100,
        token: str | None = None,
    ) -> Page[Permit]:
        """Permits, newest first; with `active` those that have not ended. One whose time is over may be among them.

        Raises:
            PageTokenError: The token is of no page.
            StoreError: The store does not answer.
        """
        query = select(permits)
        if grant is not None:
            query = query.where(_TABLE.grant_id == grant)
        if active:
            query = query.where(text(ACTIVE))
        key = (_TABLE.made_us, _TABLE.id)
        return self._database.read(
            lambda at: read_page(at, query, key, lambda row: _permit(row, now_us), size=size, token=token)
        )

    def since(self, change: int, now_us: int, *, size: int = MOST) -> list[Permit]:
        """The permits that changed after a number, in the order of their last changes."""
        query = select(permits).where(_TABLE.change > change).order_by(_TABLE.change).limit(size)
        return self._database.read(lambda at: [_permit(row, now_us) for row in at.execute(query)])

    def _end(self, where: tuple[Any, ...], by: Actor, cause: str, now_us: int) -> int:
        total = 0
        while count := self._database.write(lambda at: end_some(at, where, by, cause, now_us)):
            total += count
        return total


def make_permit(
    connection: Connection, approval: Approval, offer: PermitOffer, people: Sequence[Person], by: Actor, now_us: int
) -> None:
    """Writes a permit of an approval that has all its answers; recorded in the admin audit."""
    call = approval.call
    made = f"made from the approval {approval.id}"
    [number] = next_numbers(connection, Kind.PERMITS)
    connection.execute(
        insert(permits).values(
            id=offer.permit_id,
            approval_id=approval.id,
            grant_id=call.grant,
            server=call.server,
            tool=call.tool,
            pin_digest=call.pin_digest,
            rules=[{"rule": need.rule, "entry_digest": need.entry_digest} for need in approval.needs],
            terms=offer.terms,
            max_uses=offer.uses,
            uses_left=offer.uses,
            state="active",
            made_us=now_us,
            ends_us=now_us + offer.duration_us,
            made_by=[{"issuer": person.issuer, "subject": person.subject} for person in people],
            changed_us=now_us,
            changed_by=by.name,
            changed_from=by.source,
            cause=made,
            change=number,
        )
    )
    after = audit.digest(_read(connection, offer.permit_id, now_us))
    change = audit.Change(by, "create", Kind.PERMITS.value, offer.permit_id, made, digest_after=after)
    audit.record(connection, [change], now_us)


def _give_back(connection: Connection, use_id: str, now_us: int) -> bool:
    use = connection.execute(select(permit_uses).where(permit_uses.c.use_id == use_id)).one_or_none()
    if use is None:
        message = f"no permit has the use `{use_id}`"
        raise UnknownIdError(message)
    if use.given_back_us is not None or not _read(connection, use.permit_id, now_us).is_active:
        return False
    connection.execute(update(permit_uses).where(permit_uses.c.use_id == use_id).values(given_back_us=now_us))
    [number] = next_numbers(connection, Kind.PERMITS)
    connection.execute(
        update(permits).where(_TABLE.id == use.permit_id).values(uses_left=_TABLE.uses_left + 1, change=number)
    )
    return True


def end_some(connection: Connection, where: tuple[Any, ...], by: Actor, cause: str, now_us: int) -> int:
    """Ends up to a thousand active permits."""
    ids = list(connection.scalars(select(_TABLE.id).where(text(ACTIVE), *where).limit(MOST)))
    return change_rows(connection, permits, Kind.PERMITS, ids, by, cause, now_us, state="ended")


def _read(connection: Connection, permit_id: str, now_us: int) -> Permit:
    row = connection.execute(select(permits).where(_TABLE.id == permit_id)).one_or_none()
    if row is None:
        raise unknown_id(connection, "permit", permit_id)
    return _permit(row, now_us)


def _permit(row: Any, now_us: int) -> Permit:  # noqa: ANN401  a row has its query's columns
    return Permit(
        id=row.id,
        approval_id=row.approval_id,
        grant=row.grant_id,
        server=row.server,
        tool=row.tool,
        pin_digest=row.pin_digest,
        rules=tuple((rule["rule"], rule["entry_digest"]) for rule in row.rules),
        terms=row.terms,
        max_uses=row.max_uses,
        uses_left=row.uses_left,
        is_active=row.state == "active" and row.ends_us > now_us,
        made_us=row.made_us,
        ends_us=row.ends_us,
        made_by=tuple(Person(**person) for person in row.made_by),
        cause=row.cause,
        change=row.change,
    )
