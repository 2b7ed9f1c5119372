"""A store with years of use in it: settled approvals, pending ones, and grants.

Rows are written as `callgate.store` writes them, many at a time. Times go back a year, and what housekeeping would
delete is not there.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, text

from callgate.store.changes import Kind, next_numbers
from callgate.store.database import Domain
from callgate.store.ids import ID_BYTES, make_id
from callgate.store.model import Need, PermitBounds, State
from callgate.store.tables import answers, approvals, document_versions, documents, evidence

if TYPE_CHECKING:
    from sqlalchemy import Table

    from callgate.store.store import Store

GRANTS_THAT_ASK: Final = 1_000
SERVER: Final = "srv"
POLICY: Final = "control"
RULE: Final = "/tools/refund_charge/approval"
TOOLS: Final = ("create_charge", "refund_charge", "delete_customer", "change_plan", "send_invoice")
DAY_US: Final = 24 * 3_600 * 1_000_000
_KEPT_ARGUMENTS_US: Final = 29 * DAY_US
_AT_ONCE: Final = 5_000
_SETTLED: Final = (State.CONSUMED, State.CONSUMED, State.CONSUMED, State.EXPIRED, State.ENDED)
_ARGUMENTS: Final = '{"amount": 1250, "currency": "eur", "customer": "cus_9f8e7d6c5b4a", "note": "monthly invoice"}'
_NEED: Final = Need(RULE, "0" * 64, 3_600_000_000, 3_600_000_000, ("ops",), permit=PermitBounds(10, DAY_US))
_EVIDENCE: Final = json.dumps(
    {
        "category": "Financial",
        "risk": "high",
        "labels": {"team": "red"},
        "session": None,
        "protocol": "grpc",
        "limits": [],
        "tool": {"description": "Charges a customer. " * 10, "input_schema": {"type": "object"}},
        "entries": [{"rule": "/tools/refund_charge", "document": {"action": "require_approval"}}],
        "policy": {"name": POLICY, "version": "0" * 12},
        "masked": False,
    }
)


@dataclass(frozen=True)
class Size:
    """The number of rows of each kind."""

    settled: int
    pending: int
    grants: int


def fill(store: Store, size: Size, *, last_token_hash: str, seed: int = 1) -> None:
    """Adds so many rows; the last grant has a token that somebody knows."""
    chance, now_us = random.Random(seed), time.time_ns() // 1_000
    for begin in range(0, size.settled + size.pending, _AT_ONCE):
        numbers = range(begin, min(begin + _AT_ONCE, size.settled + size.pending))
        _add_approvals(store, [_approval(chance, number, size, now_us) for number in numbers])
    for begin in range(0, size.grants, _AT_ONCE):
        numbers = range(begin, min(begin + _AT_ONCE, size.grants))
        last = {size.grants - 1: last_token_hash}
        _add_grants(store, [_grant(number, last.get(number), now_us) for number in numbers])
    if not store.database.is_sqlite:
        # PostgreSQL does it by itself after a while; callgate never does it for SQLite.
        with store.database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))


def asking(number: int) -> str:
    """The id of a grant that asks people."""
    return f"asking-{number:04}"


def grant_id(number: int) -> str:
    """The id of a grant that is managed."""
    return f"grant-{number:07}"


def _approval(chance: random.Random, number: int, size: Size, now_us: int) -> dict[str, Any]:
    """An approval; the settled ones come first, the oldest of them a year ago."""
    is_pending = number >= size.settled
    state = State.PENDING if is_pending else _SETTLED[number % len(_SETTLED)]
    age_us = 60_000_000 if is_pending else round(365 * DAY_US * (1 - number / size.settled)) + 3 * 3_600_000_000
    made_us = now_us - age_us + number % 1_000
    is_decided = state is State.CONSUMED
    return {
        "id": make_id(chance.randbytes(ID_BYTES)),
        "fingerprint": chance.randbytes(32).hex(),
        "grant_id": asking(number % GRANTS_THAT_ASK),
        "server": SERVER,
        "tool": TOOLS[number % len(TOOLS)],
        "policy_digest": "0" * 64,
        "pin_digest": None,
        "owner_issuer": None,
        "owner_subject": None,
        "needs": [_NEED.document()],
        "open_rule": RULE if is_pending else None,
        "state": state.value,
        "created_us": made_us,
        "until_us": now_us + DAY_US if is_pending else made_us + 3_600_000_000,
        "decided_us": made_us + 60_000_000 if is_decided else None,
        "changed_us": made_us + 90_000_000,
        "changed_by": "ann (local)",
        "changed_from": "127.0.0.1",
        "cause": "asked" if is_pending else "used",
        "use_id": make_id(chance.randbytes(ID_BYTES)) if is_decided else None,
    }


def _add_approvals(store: Store, rows: list[dict[str, Any]]) -> None:
    least_us = time.time_ns() // 1_000 - _KEPT_ARGUMENTS_US
    shown = [
        {
            "approval_id": row["id"],
            "arguments": _ARGUMENTS if row["created_us"] > least_us else None,
            "document": _EVIDENCE,
            "recent": [],
            "created_us": row["created_us"],
        }
        for row in rows
    ]
    given = [
        {
            "approval_id": row["id"],
            "issuer": "local",
            "subject": "ann",
            "groups": ["ops"],
            "verdict": "approve",
            "reason": "as agreed",
            "source": "127.0.0.1",
            "terms": None,
            "answered_us": row["decided_us"],
            "is_current": True,
        }
        for row in rows
        if row["decided_us"] is not None
    ]
    _write(store, Kind.APPROVALS, Domain.CALLS, rows, ((approvals, rows), (evidence, shown), (answers, given)))


def _add_grants(store: Store, versions: list[dict[str, Any]]) -> None:
    heads = [{"kind": Kind.GRANTS.value, "id": one["id"], "version": 1, "is_deleted": False} for one in versions]
    tables = ((documents, heads), (document_versions, versions))
    _write(store, Kind.GRANTS, Domain.ADMINISTRATION, heads, tables)


def _grant(number: int, known_hash: str | None, now_us: int) -> dict[str, Any]:
    name = grant_id(number)
    # No token has this hash; each grant has another one, because a token is of one grant.
    token_hash = known_hash or hashlib.sha256(name.encode()).hexdigest()
    grant = {
        "id": name,
        "server": SERVER,
        "policy": POLICY,
        "tokens": [{"hash": token_hash}],
        "labels": {"team": "red"},
    }
    content = json.dumps(grant)
    return {
        "kind": Kind.GRANTS.value,
        "id": name,
        "version": 1,
        "content": content,
        "digest": hashlib.sha256(content.encode()).hexdigest(),
        "made_us": now_us,
        "made_by": "importer",
        "made_from": "127.0.0.1",
        "reason": "import",
    }


def _write(
    store: Store,
    kind: Kind,
    domain: Domain,
    numbered: list[dict[str, Any]],
    tables: tuple[tuple[Table, list[dict[str, Any]]], ...],
) -> None:
    """Writes rows in one transaction, those of `numbered` each with its number of changes."""

    def work(connection: Any) -> None:  # noqa: ANN401  a connection of SQLAlchemy
        for row, number in zip(numbered, next_numbers(connection, kind, len(numbered)), strict=True):
            row["change"] = number
        for table, rows in tables:
            if rows:
                connection.execute(insert(table), rows)

    store.database.write(work, domain)
