"""Approvals as enforcement points look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select, text

from callgate.store.ids import is_id
from callgate.store.model import Approval, State, from_row
from callgate.store.tables import approvals, permits
from callgate.store.tables.permits import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection

_FIND: Final = select(approvals).where(approvals.c.id.in_(bindparam("ids", expanding=True)))
_PERMITS: Final = select(permits.c.id, permits.c.approval_id).where(
    text(ACTIVE),
    permits.c.approval_id.in_(bindparam("ids", expanding=True)),
    permits.c.ends_us > bindparam("now_us"),
    permits.c.uses_left > 0,
)


@dataclass(frozen=True)
class Viewed:
    """An approval, and the permit that was made of it."""

    approval: Approval
    permit_id: str
    """Empty if there is none that can be used."""


def view(connection: Connection, ids: Iterable[str], now_us: int) -> dict[str, Viewed]:
    """The approvals with these ids that exist."""
    # What has another form is no id, and may be no text of a database either.
    rows = connection.execute(_FIND, {"ids": sorted({one for one in ids if is_id(one)})})
    found = [from_row(row, now_us) for row in rows]
    consumed = [one.id for one in found if one.state is State.CONSUMED]
    made = dict[str, str]()
    if consumed:
        rows = connection.execute(_PERMITS, {"ids": consumed, "now_us": now_us})
        made = {row.approval_id: row.id for row in rows}
    return {one.id: Viewed(one, made.get(one.id, "")) for one in found}
