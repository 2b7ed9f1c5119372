"""Uses of permits by waiting calls."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, insert, select, text, tuple_, update

from callgate.errors import StoreError
from callgate.store.changes import Kind, next_numbers
from callgate.store.statements import Statement
from callgate.store.tables import permit_uses, permits
from callgate.store.tables.permits import ACTIVE
from callgate.store.terms import covers, read_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from callgate.store.model import Ask

_TABLE: Final = permits.c
# Built once: to build a statement takes longer than to run it.
_FIND_ANY: Final = (
    select(permits)
    .where(text(ACTIVE), _TABLE.uses_left > 0, _TABLE.ends_us > bindparam("now_us"))
    # The permit that ends first, then the older one.
    .order_by(_TABLE.ends_us, _TABLE.made_us, _TABLE.id)
)
_FIND: Final = _FIND_ANY.where(
    tuple_(_TABLE.grant_id, _TABLE.server, _TABLE.tool).in_(bindparam("wanted", expanding=True))
)
_FIND_OF_ONE: Final = Statement(
    _FIND_ANY.where(
        _TABLE.grant_id == bindparam("grant"), _TABLE.server == bindparam("server"), _TABLE.tool == bindparam("tool")
    )
)
_TAKE: Final = Statement(
    update(permits)
    .where(_TABLE.id == bindparam("of_id"), _TABLE.state == "active", _TABLE.uses_left >= bindparam("taken"))
    .values(uses_left=_TABLE.uses_left - bindparam("taken"), change=bindparam("number"))
)
_ADD: Final = Statement(
    insert(permit_uses).values(use_id=bindparam("use"), permit_id=bindparam("of_id"), used_us=bindparam("now_us"))
)
_read_terms: Final = lru_cache(maxsize=1024)(read_terms)


@dataclass
class _Held:
    """A permit that was read, and its remaining uses in this batch."""

    row: Any
    rules: frozenset[tuple[str, str]]
    uses_left: int


class PermitUses:
    """The permits that calls of one transaction may use."""

    def __init__(self, connection: Connection, asks: Sequence[Ask], now_us: int) -> None:
        """Reads them."""
        self._connection = connection
        self._now_us = now_us
        self._held: dict[tuple[str, str, str], list[_Held]] = defaultdict(list)
        self._taken: list[tuple[str, str]] = []
        wanted = list({(ask.call.grant, ask.call.server, ask.call.tool) for ask in asks})
        for row in _find(connection, wanted, now_us):
            rules = frozenset((rule["rule"], rule["entry_digest"]) for rule in row.rules)
            self._held[row.grant_id, row.server, row.tool].append(_Held(row, rules, row.uses_left))

    def take(self, ask: Ask) -> str | None:
        """The id of the permit of which a use was taken; None if none covers the call.

        Raises:
            UnreadableError: The arguments cannot be read.
        """
        call = ask.call
        asking = {(need.rule, need.entry_digest) for need in ask.needs}
        for held in self._held[call.grant, call.server, call.tool]:
            if (
                held.uses_left > 0
                and held.row.pin_digest == call.pin_digest
                and asking <= held.rules
                and covers(_read_terms(held.row.terms), ask.contents.arguments())
            ):
                held.uses_left -= 1
                self._taken.append((ask.use_id, held.row.id))
                return str(held.row.id)
        return None

    def write(self) -> None:
        """Writes the uses that were taken."""
        if not self._taken:
            return
        taken = Counter(permit_id for _, permit_id in self._taken)
        numbers = next_numbers(self._connection, Kind.PERMITS, len(taken))
        changed = [
            {"of_id": permit_id, "taken": count, "number": number}
            for (permit_id, count), number in zip(taken.items(), numbers, strict=True)
        ]
        if _TAKE.change(self._connection, changed) != len(changed):
            message = "a permit changed while it was used; nothing was written"
            raise StoreError(message)
        used = [{"use": use, "of_id": permit_id, "now_us": self._now_us} for use, permit_id in self._taken]
        _ADD.change(self._connection, used)


def _find(connection: Connection, wanted: Sequence[tuple[str, str, str]], now_us: int) -> Sequence[Any]:
    if len(wanted) == 1:
        grant, server, tool = wanted[0]
        return _FIND_OF_ONE.rows(connection, {"grant": grant, "server": server, "tool": tool, "now_us": now_us})
    return connection.execute(_FIND, {"wanted": wanted, "now_us": now_us}).all()
