"""Uses of permits by waiting calls."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, insert, select, text, tuple_, update

from callgate.errors import StoreError
from callgate.store.changes import Kind, change_rows, next_numbers
from callgate.store.model import Actor
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
    rules: dict[str, str]
    """The digest of the entry of each rule pointer."""
    uses_left: int
    has_changed: bool = False
    """True if a call has met other rules at a pointer: the permit ends."""


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
            rules = {rule["rule"]: rule["entry_digest"] for rule in row.rules}
            self._held[row.grant_id, row.server, row.tool].append(_Held(row, rules, row.uses_left))

    def take(self, ask: Ask) -> str | None:
        """The id of the permit of which a use was taken; None if none covers the call.

        Raises:
            UnreadableError: The arguments cannot be read.
        """
        call = ask.call
        asking = {need.rule: need.entry_digest for need in ask.needs}
        for held in self._held[call.grant, call.server, call.tool]:
            held.has_changed |= any(held.rules.get(rule, digest) != digest for rule, digest in asking.items())
            if (
                held.uses_left > 0
                and not held.has_changed
                and held.row.pin_digest == call.pin_digest
                and asking.keys() <= held.rules.keys()
                and covers(_read_terms(held.row.terms), ask.contents.arguments())
            ):
                held.uses_left -= 1
                self._taken.append((ask.use_id, held.row.id))
                return str(held.row.id)
        return None

    def write(self) -> None:
        """Writes the uses that were taken, and ends the permits whose entries have changed."""
        if self._taken:
            self._write_uses()
        changed = [held.row.id for group in self._held.values() for held in group if held.has_changed]
        if changed:
            by, cause = Actor("callgate", ""), "the rules of its entry have changed"
            change_rows(self._connection, permits, Kind.PERMITS, changed, by, cause, self._now_us, state="ended")

    def _write_uses(self) -> None:
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
