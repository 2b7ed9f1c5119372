"""Step 6 of the policy's order, for several waiting calls at once: one transaction and one sync.

Everything that the calls need is read with a few statements, decided here call by call, and written with a few
statements. Nobody else writes in between (see `database.py`); that each changed row still has the state that was read
is checked all the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, func, insert, select, text, update

from callgate.errors import StoreError
from callgate.store import uses
from callgate.store.approvals.recent import recent_answers
from callgate.store.changes import Kind, next_numbers
from callgate.store.errors import UnreadableError
from callgate.store.model import (
    Approval,
    Ask,
    AtCapacity,
    Denied,
    Evidence,
    Failed,
    Need,
    Outcome,
    Permitted,
    State,
    Used,
    Waiting,
    from_row,
    state_at,
)
from callgate.store.notices.events import endings, write_events
from callgate.store.notices.model import Happening, NoticeEvent
from callgate.store.statements import Statement
from callgate.store.tables import approvals, evidence
from callgate.store.tables.approvals import LIVE, PENDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

_TABLE: Final = approvals.c
_CALLGATE: Final = "callgate"
_OVER: Final = "its time is over"

# Built once: to build a statement takes longer than to run it.
_FIND: Final = select(approvals).where(_TABLE.fingerprint.in_(bindparam("fingerprints", expanding=True)), text(LIVE))
_FIND_ONE: Final = Statement(select(approvals).where(_TABLE.fingerprint == bindparam("fingerprint"), text(LIVE)))
_CHANGE: Final = Statement(
    update(approvals)
    .where(_TABLE.id == bindparam("of_id"), _TABLE.state == bindparam("of_state"))
    .values(
        state=bindparam("new_state"),
        changed_us=bindparam("now_us"),
        changed_by=bindparam("by"),
        changed_from=bindparam("source"),
        cause=bindparam("why"),
        use_id=bindparam("used"),
        change=bindparam("number"),
    )
)
_COUNT_BY_GRANT: Final = (
    select(_TABLE.grant_id, func.count().label("pending"))
    # `+ 0`: SQLite takes the index of this condition otherwise, and reads what is pending of all grants.
    .where(
        text(PENDING),
        _TABLE.until_us + 0 > bindparam("now_us"),
        _TABLE.grant_id.in_(bindparam("grants", expanding=True)),
    )
    .group_by(_TABLE.grant_id)
)
_COUNT: Final = select(func.count()).select_from(approvals).where(text(PENDING), _TABLE.until_us > bindparam("now_us"))


@dataclass(frozen=True)
class Caps:
    """The highest numbers of pending approvals."""

    per_grant: int
    in_all: int


UNSTORABLE: Final = Failed("a text of the call contains NUL, or half of a surrogate pair")


def is_storable(ask: Ask) -> bool:
    """False if a text has characters that a database or UTF-8 has no form for; evidence is checked where it is used."""
    call = ask.call
    of_call = (call.fingerprint, call.grant, call.server, call.tool, call.policy_digest, call.pin_digest or "")
    return _is_text("".join((*of_call, ask.new_id, ask.use_id, ask.source, *(need.rule for need in ask.needs))))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def ask_all(connection: Connection, asks: Sequence[Ask], now_us: int, caps: Caps) -> list[Outcome]:
    """Decides calls in their order."""
    batch = _Batch(connection, asks, now_us, caps)
    outcomes = [batch.decide(ask) for ask in asks]
    batch.write()
    return outcomes


@dataclass
class _Held:
    """An approval that was read, and its state in this batch."""

    stored: Approval
    state: State
    used_by: Ask | None = None


class _Batch:
    """The approvals and permits that one transaction has read."""

    def __init__(self, connection: Connection, asks: Sequence[Ask], now_us: int, caps: Caps) -> None:
        self._connection = connection
        self._asks = asks
        self._now_us = now_us
        self._caps = caps
        self._held: dict[str, list[_Held]] = defaultdict(list)
        self._new: dict[str, tuple[Ask, Evidence]] = {}
        self._permits: uses.PermitUses | None = None
        self._pending: Counter[str] | None = None
        self._pending_in_all: int | None = None
        for row in _find(connection, list({ask.call.fingerprint for ask in asks})):
            stored = from_row(row)
            self._held[stored.call.fingerprint].append(_Held(stored, state_at(stored, now_us)))

    def decide(self, ask: Ask) -> Outcome:
        """The outcome of one call."""
        try:
            return self._decide(ask)
        except UnreadableError as error:
            return Failed(str(error))

    def _decide(self, ask: Ask) -> Outcome:
        asking = {need.rule for need in ask.needs}
        held = self._held[ask.call.fingerprint]
        # Any denial counts, not the newest answer: the clocks of the replicas that wrote them differ.
        denied = [one.stored for one in held if one.state is State.DENIED]
        if denied:
            stored = max(denied, key=lambda one: (one.until_us, one.id))
            return Denied(stored.id, ask.needs[0].rule, stored.cause, stored.until_us)
        approved = [one for one in held if one.state is State.APPROVED and asking <= _rules(one.stored)]
        if approved:
            newest = max(approved, key=lambda one: (one.stored.decided_us or 0, one.stored.id))
            newest.state, newest.used_by = State.CONSUMED, ask
            return Used(newest.stored.id)
        if self._permits is None:
            self._permits = uses.PermitUses(self._connection, self._asks, self._now_us)
        permit_id = self._permits.take(ask)
        return self._wait(ask) if permit_id is None else Permitted(permit_id)

    def write(self) -> None:
        """Writes the decisions."""
        held = [one for group in self._held.values() for one in group]
        used = [one for one in held if one.used_by is not None]
        expired = [one for one in held if one.state is State.EXPIRED]
        count = len(used) + len(expired) + len(self._new)
        if count:
            numbers = iter(next_numbers(self._connection, Kind.APPROVALS, count))
            self._update(State.EXPIRED, [_change(one, next(numbers), None) for one in expired])
            self._update(State.CONSUMED, [_change(one, next(numbers), one.used_by) for one in used])
            if self._new:
                self._insert([(*new, next(numbers)) for new in self._new.values()])
            self._tell(expired)
        if self._permits is not None:
            self._permits.write()

    def _wait(self, ask: Ask) -> Outcome:
        """The pending approval of the fingerprint, or a new one."""
        fingerprint = ask.call.fingerprint
        for held in self._held[fingerprint]:
            if held.state is State.PENDING:
                stored = held.stored
                return _waiting(stored.id, stored.needs, stored.open_rule, stored.until_us)
        if fingerprint in self._new:
            made, _ = self._new[fingerprint]
            return _waiting(made.new_id, made.needs, made.needs[0].rule, self._until(made))
        pending = self._count_pending()
        if pending[ask.call.grant] >= self._caps.per_grant:
            return AtCapacity(is_of_grant=True)
        in_all = self._count_in_all()
        if in_all >= self._caps.in_all:
            return AtCapacity(is_of_grant=False)
        evidence = ask.contents.evidence()
        owner = () if evidence.owner is None else (evidence.owner.issuer, evidence.owner.subject)
        if not _is_text("".join((evidence.arguments, evidence.document, *owner))):
            return UNSTORABLE
        pending[ask.call.grant] += 1
        self._pending_in_all = in_all + 1
        self._new[fingerprint] = ask, evidence
        return _waiting(ask.new_id, ask.needs, ask.needs[0].rule, self._until(ask), is_new=True)

    def _until(self, ask: Ask) -> int:
        return self._now_us + min(need.timeout_us for need in ask.needs)

    def _count_pending(self) -> Counter[str]:
        """The pending approvals of the grants that ask; those whose time is over do not count."""
        if self._pending is None:
            grants = list({ask.call.grant for ask in self._asks})
            rows = self._connection.execute(_COUNT_BY_GRANT, {"grants": grants, "now_us": self._now_us})
            self._pending = Counter({row.grant_id: row.pending for row in rows})
        return self._pending

    def _count_in_all(self) -> int:
        """Likewise of all grants; counted only if the grant's own number lets the call wait."""
        if self._pending_in_all is None:
            self._pending_in_all = int(self._connection.execute(_COUNT, {"now_us": self._now_us}).scalar_one())
        return self._pending_in_all

    def _update(self, state: State, changed: list[dict[str, Any]]) -> None:
        if not changed:
            return
        rows = [{**one, "new_state": state.value, "now_us": self._now_us} for one in changed]
        if _CHANGE.change(self._connection, rows) != len(rows):
            message = "an approval changed while it was used; nothing was written"
            raise StoreError(message)

    def _insert(self, made: list[tuple[Ask, Evidence, int]]) -> None:
        self._connection.execute(insert(approvals), [self._row(*one) for one in made])
        tools = {(ask.call.grant, ask.call.server, ask.call.tool) for ask, _, _ in made}
        recent = recent_answers(self._connection, tools)
        self._connection.execute(
            insert(evidence),
            [
                {
                    "approval_id": ask.new_id,
                    "arguments": shown.arguments,
                    "document": shown.document,
                    "recent": recent[ask.call.grant, ask.call.server, ask.call.tool],
                    "created_us": self._now_us,
                }
                for ask, shown, _ in made
            ],
        )

    def _tell(self, expired: Sequence[_Held]) -> None:
        """Writes the events of new approvals, and of those whose time is over."""
        over = endings(State.EXPIRED, [one.stored for one in expired], _CALLGATE, _OVER)
        asked = (
            Happening(ask.new_id, NoticeEvent.REQUESTED, {"until_us": self._until(ask)})
            for ask, _ in self._new.values()
        )
        write_events(self._connection, [*over, *asked], self._now_us)

    def _row(self, ask: Ask, shown: Evidence, number: int) -> dict[str, Any]:
        call = ask.call
        return {
            "id": ask.new_id,
            "fingerprint": call.fingerprint,
            "grant_id": call.grant,
            "server": call.server,
            "tool": call.tool,
            "policy_digest": call.policy_digest,
            "pin_digest": call.pin_digest,
            "owner_issuer": shown.owner and shown.owner.issuer,
            "owner_subject": shown.owner and shown.owner.subject,
            "needs": [need.document() for need in ask.needs],
            "open_rule": ask.needs[0].rule,
            "state": State.PENDING.value,
            "created_us": self._now_us,
            "until_us": self._until(ask),
            "changed_us": self._now_us,
            "changed_by": call.grant,
            "changed_from": ask.source,
            "cause": "asked",
            "change": number,
            "takes_passkey": shown.takes_passkey,
        }


def _find(connection: Connection, fingerprints: Sequence[str]) -> Sequence[Any]:
    if len(fingerprints) == 1:
        return _FIND_ONE.rows(connection, {"fingerprint": fingerprints[0]})
    return connection.execute(_FIND, {"fingerprints": fingerprints}).all()


def _rules(approval: Approval) -> set[str]:
    return {need.rule for need in approval.needs}


def _change(held: _Held, number: int, ask: Ask | None) -> dict[str, Any]:
    return {
        "of_id": held.stored.id,
        "of_state": held.stored.state.value,
        "by": _CALLGATE if ask is None else ask.call.grant,
        "source": "" if ask is None else ask.source,
        "why": _OVER if ask is None else "used",
        "used": None if ask is None else ask.use_id,
        "number": number,
    }


def _waiting(
    approval_id: str, needs: Sequence[Need], rule: str | None, until_us: int, *, is_new: bool = False
) -> Waiting:
    need = next((need for need in needs if need.rule == rule), needs[0])
    return Waiting(approval_id, need.rule, need.approvers, until_us, is_new)
