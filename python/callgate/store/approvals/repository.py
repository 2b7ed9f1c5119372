"""Approvals in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select, text, update

from callgate.store.approvals import state as states
from callgate.store.approvals.answer import Answer, give_answer
from callgate.store.approvals.ask import UNSTORABLE, Caps, ask_all, is_storable
from callgate.store.approvals.recorded import Recorded, read_record
from callgate.store.approvals.viewed import Viewed, view
from callgate.store.errors import (
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreGoneError,
)
from callgate.store.model import (
    LIVE_STATES,
    PENDING_IN_ALL,
    PENDING_PER_GRANT,
    Actor,
    Approval,
    Ask,
    Failed,
    Outcome,
    State,
    from_row,
)
from callgate.store.pages import MOST, Page, find_ids, read_page
from callgate.store.tables import approvals, evidence, permits
from callgate.store.tables.approvals import LIVE
from callgate.store.unknown import unknown_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

_TABLE: Final = approvals.c
_AT_ONCE: Final = 100
"""Rows that one transaction forgets: calls wait for it."""


class Approvals:
    """Approvals, their evidence and their answers. Each change is on the disk when its method returns."""

    def __init__(self, database: Database, *, per_grant: int = PENDING_PER_GRANT, in_all: int = PENDING_IN_ALL) -> None:
        """Takes the database and the highest numbers of pending ones, of one grant and in all."""
        self._database = database
        self._caps = Caps(per_grant, in_all)

    def ask(self, asks: Sequence[Ask], now_us: int) -> list[Outcome]:
        """The outcomes of waiting calls, decided in their order in one transaction.

        If one of them makes it fail, each gets a transaction of its own, so that one call does not stop the others.

        Raises:
            StoreError: The store does not answer. Uses may be taken nevertheless, if its answer was lost.
        """
        storable = [is_storable(one) for one in asks]
        outcomes = iter(self._ask([one for one, fits in zip(asks, storable, strict=True) if fits], now_us))
        return [next(outcomes) if fits else UNSTORABLE for fits in storable]

    def restore(self, approval_id: str, use_id: str, by: Actor, now_us: int) -> Approval:
        """Gives the use of a call back: the approval is approved again if its time is not over, else it stays consumed.

        Raises:
            UnknownIdError: There is no such approval.
            StateError: It was not consumed by this use, or was restored already.
            StoreError: The store does not answer.
        """
        return self._database.write(lambda at: states.restore(at, approval_id, use_id, by, now_us))

    def answer(self, approval_id: str, answer: Answer, now_us: int) -> Approval:
        """Writes one person's answer, recorded in the admin audit; the approval that it leads to.

        Raises:
            UnknownIdError: There is no such approval.
            StateError: It is not pending.
            AnswerError: This person may not give this answer.
            StoreError: The store does not answer.
        """
        return self._database.write(lambda at: give_answer(at, approval_id, answer, now_us))

    def withdraw(self, approval_id: str, by: Actor, cause: str, now_us: int) -> Approval:
        """Ends one that is pending, approved or denied; recorded in the admin audit.

        Raises:
            UnknownIdError: There is no such approval.
            StateError: It is in another state.
            StoreError: The store does not answer.
        """
        return self._database.write(lambda at: states.withdraw(at, approval_id, by, cause, now_us))

    def expire_due(self, now_us: int) -> int:
        """Writes that the time of some is over, and returns their number."""
        return self._repeat(lambda at: states.expire(at, now_us))

    def end_of_policy(self, digest: str, by: Actor, now_us: int) -> int:
        """Ends the pending ones of a policy that is in force nowhere; approved ones stay, in case it comes back."""
        pending = (_TABLE.policy_digest == digest, _TABLE.state == State.PENDING.value)
        return self._end(pending, by, "the policy is no longer in force", now_us)

    def end_of_pin(self, server: str, tool: str, digest: str, by: Actor, now_us: int) -> int:
        """Ends those of a tool that were asked under this pin, which is no longer in force, for good."""
        where = (_TABLE.server == server, _TABLE.tool == tool, _TABLE.pin_digest == digest)
        return self._end_for_good(where, by, "the tool has changed", now_us)

    def end_of_grant(self, grant: str, by: Actor, cause: str, now_us: int) -> int:
        """Ends all of a grant, for good: consumed ones cannot be restored either."""
        return self._end_for_good((_TABLE.grant_id == grant,), by, cause, now_us)

    def get(self, approval_id: str, now_us: int) -> Approval:
        """An approval in its state at this time.

        Raises:
            UnknownIdError: There is none.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> Approval:
            row = connection.execute(select(approvals).where(_TABLE.id == approval_id)).one_or_none()
            if row is None:
                raise unknown_id(connection, "approval", approval_id)
            return from_row(row, now_us)

        return self._database.read(work)

    def view(self, ids: Iterable[str], now_us: int) -> dict[str, Viewed]:
        """The approvals with these ids in their states at this time, and the permits that were made of them.

        Raises:
            StoreError: The store does not answer.
        """
        return self._database.read(lambda at: view(at, ids, now_us))

    def find(self, beginning: str, *, size: int = 10) -> list[str]:
        """The ids that begin so, at most `size` of them; the whole id finds itself."""
        return self._database.read(lambda at: find_ids(at, _TABLE.id, beginning, size))

    def record(self, approval_id: str) -> Recorded:
        """The evidence of an approval, and all answers to it.

        Raises:
            UnknownIdError: There is none.
            StoreError: The store does not answer.
        """
        return self._database.read(lambda at: read_record(at, approval_id))

    def page(
        self,
        now_us: int,
        *,
        state: State | None = None,
        grant: str | None = None,
        size: int = 100,
        token: str | None = None,
        oldest_first: bool = False,
    ) -> Page[Approval]:
        """Approvals, newest first if not told otherwise.

        One whose time is over is listed as expired, maybe under its former state.

        Raises:
            PageTokenError: The token is of no page.
            StoreError: The store does not answer.
        """
        query = select(approvals)
        if state is not None:
            query = query.where(_TABLE.state == state.value)
        if grant is not None:
            query = query.where(_TABLE.grant_id == grant)
        key = (_TABLE.created_us, _TABLE.id)

        def work(connection: Connection) -> Page[Approval]:
            return read_page(
                connection,
                query,
                key,
                lambda row: from_row(row, now_us),
                size=size,
                token=token,
                oldest_first=oldest_first,
            )

        return self._database.read(work)

    def since(self, change: int, now_us: int, *, size: int = MOST) -> list[Approval]:
        """The approvals that changed after a number, in the order of their last changes."""
        query = select(approvals).where(_TABLE.change > change).order_by(_TABLE.change).limit(size)
        return self._database.read(lambda at: [from_row(row, now_us) for row in at.execute(query)])

    def forget(self, now_us: int, *, keep_arguments_us: int, keep_us: int) -> tuple[int, int]:
        """Deletes arguments and whole approvals after their time; returns how many of each.

        Live ones keep their arguments, by which people decide; those with an active permit stay.
        """
        held = evidence.c
        is_over = _TABLE.state.not_in([one.value for one in LIVE_STATES])
        old = select(held.approval_id).where(
            text("arguments IS NOT NULL"),
            held.created_us <= now_us - keep_arguments_us,
            # Live ones are few.
            held.approval_id.not_in(select(_TABLE.id).where(text(LIVE))),
        )
        in_use = select(permits.c.approval_id).where(permits.c.state == "active")
        done = select(_TABLE.id).where(_TABLE.created_us <= now_us - keep_us, is_over, _TABLE.id.not_in(in_use))

        def without_arguments(connection: Connection) -> int:
            ids = list(connection.scalars(old.limit(_AT_ONCE)))
            connection.execute(update(evidence).where(held.approval_id.in_(ids)).values(arguments=None))
            return len(ids)

        def gone(connection: Connection) -> int:
            ids = list(connection.scalars(done.order_by(_TABLE.created_us).limit(_AT_ONCE)))
            connection.execute(delete(approvals).where(_TABLE.id.in_(ids)))
            return len(ids)

        return self._repeat(without_arguments), self._repeat(gone)

    def _ask(self, asks: Sequence[Ask], now_us: int) -> list[Outcome]:
        if not asks:
            return []
        try:
            return self._database.write(lambda at: ask_all(at, asks, now_us, self._caps))
        except (StoreBusyError, StoreFullError, StoreGoneError, StoreDamagedError):
            raise
        except Exception:  # noqa: BLE001  whatever the content of a call leads to
            return [self._ask_one(one, now_us) for one in asks]

    def _ask_one(self, ask: Ask, now_us: int) -> Outcome:
        try:
            [outcome] = self._database.write(lambda at: ask_all(at, [ask], now_us, self._caps))
        except Exception as error:  # noqa: BLE001  the calls before it have their outcomes, which must not be lost
            return Failed(str(error))
        return outcome

    def _end(self, where: tuple[ColumnElement[bool], ...], by: Actor, cause: str, now_us: int) -> int:
        return self._repeat(lambda at: states.end_where(at, where, by, cause, now_us))

    def _end_for_good(self, where: tuple[ColumnElement[bool], ...], by: Actor, cause: str, now_us: int) -> int:
        total = 0
        counts = (1, 1)
        while any(counts):
            counts = self._database.write(lambda at: states.end_for_good(at, where, by, cause, now_us))
            total += counts[0]
        return total

    def _repeat(self, work: Callable[[Connection], int]) -> int:
        """Runs transactions of bounded size until one finds nothing more to do: calls wait for none of them long."""
        total = 0
        while count := self._database.write(work):
            total += count
        return total
