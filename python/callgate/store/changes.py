"""Numbers of changes, by which replicas read only new ones, and waiting for the next one."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from callgate.store.statements import Statement
from callgate.store.tables import changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from callgate.store.model import Actor

CHANNEL: Final = "callgate_changes"
SCHEMA_DIGEST: Final = "md5(coalesce(current_schema(), ''))"
"""In PostgreSQL's words; at the end of the channel's name, because a database may hold several stores."""

# Built once, here and wherever a waiting call needs it: to build a statement takes longer than to run it.
_TAKE: Final = {
    name: Statement(
        (made := dialect.insert(changes).values(kind=bindparam("kind"), number=bindparam("count")))
        .on_conflict_do_update(
            index_elements=[changes.c.kind], set_={"number": changes.c.number + made.excluded.number}
        )
        .returning(changes.c.number)
    )
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_NOTIFY: Final = text(f"SELECT pg_notify(CAST(:channel AS text) || '_' || {SCHEMA_DIGEST}, :kind)")


class Kind(str, Enum):
    """A kind of rows that has numbers of its own."""

    APPROVALS = "approvals"
    PERMITS = "permits"
    FREEZES = "freezes"
    GRANTS = "grants"
    SERVERS = "servers"
    POLICIES = "policies"
    PINS = "pins"
    PEOPLE = "people"
    TOKENS = "tokens"
    NOTICES = "notices"
    """Events of which receivers are told."""


def next_numbers(connection: Connection, kind: Kind, count: int = 1) -> range:
    """Takes numbers for `count` changes, and tells other replicas when the transaction commits.

    INVARIANT: all writers of one kind are of one domain, so that a number that can be seen is higher than all before.
    """
    taken = {"kind": kind.value, "count": count}
    [row] = _TAKE[connection.dialect.name].rows(connection, taken)
    last = int(row.number)
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY, {"channel": CHANNEL, "kind": kind.value})
    return range(last - count + 1, last + 1)


def change_rows(
    connection: Connection,
    table: Table,
    kind: Kind,
    ids: Sequence[str],
    by: Actor,
    cause: str,
    now_us: int,
    *,
    state: str,
) -> int:
    """Writes a state to these rows, each with a number of its own; returns how many they are."""
    if not ids:
        return 0
    statement = (
        update(table)
        .where(table.c.id == bindparam("of_id"))
        .values(
            state=state,
            changed_us=now_us,
            changed_by=by.name,
            changed_from=by.source,
            cause=cause,
            change=bindparam("of_change"),
        )
    )
    numbers = next_numbers(connection, kind, len(ids))
    connection.execute(
        statement, [{"of_id": one, "of_change": number} for one, number in zip(ids, numbers, strict=True)]
    )
    return len(ids)


def last_numbers(connection: Connection) -> dict[Kind, int]:
    """The highest number of each kind; 0 for a kind without any."""
    found = {row.kind: int(row.number) for row in connection.execute(select(changes))}
    return {kind: found.get(kind.value, 0) for kind in Kind}
