"""The outboxes of receivers: each notice is tried until it is delivered, or has become a dead letter.

A replica claims notices for a bounded time and tries them outside of any transaction. If it ends meanwhile, another one
tries them again, with the same ids: each is delivered at least once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, func, select, text, update

from callgate.store import audit
from callgate.store.changes import Kind
from callgate.store.database import Domain
from callgate.store.errors import StateError, UnknownIdError
from callgate.store.model import from_row
from callgate.store.notices.model import Contents, Notice, NoticeState, TryResult, notice_from_row
from callgate.store.pages import MOST, Page, find_ids, read_page
from callgate.store.tables import approvals, evidence, notices
from callgate.store.tables.notices import WAITING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from callgate.store.database import Database
    from callgate.store.model import Actor

_TABLE: Final = notices.c
_SECOND_US: Final = 1_000_000
_DAY_US: Final = 24 * 3_600 * _SECOND_US

KEPT_US: Final = 30 * _DAY_US
"""The time for which dead letters are kept."""

SENT_KEPT_US: Final = _DAY_US
"""The time for which notices that were sent are kept, and longer as long as their links work."""

OLDEST_US: Final = 3 * _DAY_US
"""The age at which a notice that waits becomes a dead letter."""

_AT_ONCE: Final = 500
"""Rows that one transaction of housekeeping changes."""

_SETTLE: Final = (
    update(notices)
    .where(
        _TABLE.id == bindparam("of_id"),
        _TABLE.claimed_by == bindparam("of_claim"),
        _TABLE.state == NoticeState.WAITING.value,
    )
    .values(
        state=bindparam("new_state"),
        tries=_TABLE.tries + bindparam("tried"),
        due_us=bindparam("new_due_us"),
        error=bindparam("new_error"),
        done_us=bindparam("new_done_us"),
        claimed_by=None,
    )
)


class Notices:
    """The notices of all receivers."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def next_due_us(self, receiver: str) -> int | None:
        """The time at which the next notice of a receiver is to be tried; None if none waits.

        Raises:
            StoreError: The store does not answer.
        """
        query = select(func.min(_TABLE.due_us)).where(text(WAITING), _TABLE.receiver == receiver)
        found = self._database.read(lambda at: at.execute(query).scalar_one())
        return None if found is None else int(found)

    def claim(self, receiver: str, by: str, now_us: int, *, size: int, until_us: int) -> list[Notice]:
        """Takes notices that are due, the oldest first; nobody else gets them before `until_us`.

        `by` is the claim's own random id: only its owner settles them.

        Raises:
            StoreError: The store does not answer.
        """
        due = (
            select(notices)
            .where(text(WAITING), _TABLE.receiver == receiver, _TABLE.due_us <= now_us)
            .order_by(_TABLE.due_us, _TABLE.number)
            .limit(size)
        )

        def work(connection: Connection) -> list[Notice]:
            # Nobody else writes in between: the transaction has the lock of its domain.
            found = [notice_from_row(row) for row in connection.execute(due)]
            ids = [one.id for one in found]
            connection.execute(update(notices).where(_TABLE.id.in_(ids)).values(due_us=until_us, claimed_by=by))
            return found

        return self._database.write(work, Domain.NOTICES)

    def contents(self, approval_ids: Collection[str]) -> dict[str, Contents]:
        """The things that messages about these approvals are made of; none of an approval that was deleted.

        Raises:
            StoreError: The store does not answer.
        """
        query = (
            select(approvals, evidence.c.document, evidence.c.arguments)
            .join(evidence, evidence.c.approval_id == approvals.c.id)
            .where(approvals.c.id.in_(list(approval_ids)))
        )
        rows = self._database.read(lambda at: at.execute(query).all())
        return {row.id: Contents(from_row(row), row.document, row.arguments) for row in rows}

    def settle(self, by: str, results: Sequence[TryResult], now_us: int) -> None:
        """Writes the results of a claim. Those that another one has claimed meanwhile stay as they are.

        Raises:
            StoreError: The store does not answer.
        """
        rows = [
            {
                "of_id": one.id,
                "of_claim": by,
                "new_state": one.state.value,
                "tried": int(one.is_tried),
                "new_due_us": one.due_us,
                "new_error": one.error,
                "new_done_us": None if one.state is NoticeState.WAITING else now_us,
            }
            for one in results
        ]
        if rows:
            self._database.write(lambda at: at.execute(_SETTLE, rows), Domain.NOTICES)

    def get(self, notice_id: str) -> Notice:
        """A notice.

        Raises:
            UnknownIdError: There is none, or not any more.
            StoreError: The store does not answer.
        """
        query = select(notices).where(_TABLE.id == notice_id)
        row = self._database.read(lambda at: at.execute(query).one_or_none())
        if row is None:
            message = f"there is no notice `{notice_id}`"
            raise UnknownIdError(message)
        return notice_from_row(row)

    def find(self, beginning: str, *, size: int = 10) -> list[str]:
        """The ids that begin so, at most `size` of them; the whole id finds itself."""
        return self._database.read(lambda at: find_ids(at, _TABLE.id, beginning, size))

    def page(
        self,
        *,
        state: NoticeState | None = None,
        receiver: str | None = None,
        size: int = 100,
        token: str | None = None,
    ) -> Page[Notice]:
        """Notices, newest first.

        Raises:
            PageTokenError: The token is of no page.
            StoreError: The store does not answer.
        """
        query = select(notices)
        if state is not None:
            query = query.where(_TABLE.state == state.value)
        if receiver is not None:
            query = query.where(_TABLE.receiver == receiver)
        key = (_TABLE.made_us, _TABLE.id)
        return self._database.read(lambda at: read_page(at, query, key, notice_from_row, size=size, token=token))

    def retry(self, notice_id: str, by: Actor, now_us: int) -> None:
        """Lets a dead letter be tried again from the beginning; recorded in the admin audit.

        Raises:
            UnknownIdError: There is no such notice.
            StateError: It is no dead letter.
            StoreError: The store does not answer.
        """
        values = {
            "state": NoticeState.WAITING.value,
            "tries": 0,
            "due_us": now_us,
            "made_us": now_us,
            "done_us": None,
            "claimed_by": None,
        }
        self._change_dead(notice_id, by, "retry", values, now_us)

    def discard(self, notice_id: str, by: Actor, now_us: int) -> None:
        """Deletes a dead letter; recorded in the admin audit.

        Raises:
            UnknownIdError: There is no such notice.
            StateError: It is no dead letter.
            StoreError: The store does not answer.
        """
        self._change_dead(notice_id, by, "discard", None, now_us)

    def forget(self, now_us: int) -> int:
        """Makes dead letters of notices that have waited for too long, and deletes those whose time is over.

        Returns:
            The number of new dead letters.

        Raises:
            StoreError: The store does not answer.
        """
        old = (_TABLE.state == NoticeState.WAITING.value, _TABLE.made_us <= now_us - OLDEST_US)
        dead = (_TABLE.state == NoticeState.DEAD.value, _TABLE.made_us <= now_us - KEPT_US)
        done = (
            _TABLE.state.in_([NoticeState.SENT.value, NoticeState.OBSOLETE.value]),
            _TABLE.made_us <= now_us - SENT_KEPT_US,
            _TABLE.link_until_us <= now_us,
        )
        buried = 0
        while count := self._change_some(old, {"state": NoticeState.DEAD.value, "done_us": now_us}):
            buried += count
        for where in (dead, done):
            while self._change_some(where, None):
                pass
        return buried

    def _change_dead(
        self, notice_id: str, by: Actor, action: str, values: Mapping[str, Any] | None, now_us: int
    ) -> None:
        """Changes a dead letter, or deletes it without values."""

        def work(connection: Connection) -> None:
            state = connection.execute(select(_TABLE.state).where(_TABLE.id == notice_id)).scalar_one_or_none()
            if state is None:
                message = f"there is no notice `{notice_id}`"
                raise UnknownIdError(message)
            if state != NoticeState.DEAD.value:
                raise StateError("notice", notice_id, state, "it is no dead letter")
            where = _TABLE.id == notice_id
            change = delete(notices) if values is None else update(notices).values(dict(values))
            connection.execute(change.where(where))
            audit.record(connection, [audit.Change(by, action, Kind.NOTICES.value, notice_id)], now_us)

        self._database.write(work, Domain.NOTICES)

    def _change_some(self, where: tuple[Any, ...], values: Mapping[str, Any] | None) -> int:
        """Changes or deletes a bounded number of rows, if there are any; their number."""
        query = select(_TABLE.id).where(*where).limit(min(_AT_ONCE, MOST))

        def work(connection: Connection) -> int:
            ids = list(connection.scalars(query))
            change = delete(notices) if values is None else update(notices).values(dict(values))
            connection.execute(change.where(_TABLE.id.in_(ids)))
            return len(ids)

        if self._database.read(lambda at: at.execute(query.limit(1)).first()) is None:
            return 0
        return self._database.write(work, Domain.NOTICES)
