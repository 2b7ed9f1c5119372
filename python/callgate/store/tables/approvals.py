"""Approvals, their evidence, and their answers."""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Table

from callgate.store.tables.base import Number, RandomId, metadata, partial_index, time, word

_STATES: Final = "'pending', 'approved', 'denied', 'consumed', 'expired', 'ended'"
LIVE: Final = "state IN ('pending', 'approved', 'denied')"
"""The condition of partial indexes. Queries repeat it as text: a database does not use them for values it is given."""

PENDING: Final = "state = 'pending'"
"""Likewise, for pending ones."""

approvals: Final = Table(
    "approvals",
    metadata,
    Column("id", RandomId, primary_key=True),
    word("fingerprint"),
    word("grant_id"),
    word("server"),
    word("tool"),
    word("policy_digest"),
    word("pin_digest", nullable=True),
    word("owner_issuer", nullable=True),
    word("owner_subject", nullable=True),
    # True if approving takes a passkey; null in older rows, which take none.
    Column("takes_passkey", Boolean, nullable=True),
    # The needs, as `approvals/model.py` reads and writes them.
    Column("needs", JSON, nullable=False),
    # The rule pointer of the first need that has too few answers; null if none has.
    word("open_rule", nullable=True),
    word("state"),
    time("created_us"),
    # The end of the present state; of a consumed one, the end of the time in which it can be restored; 0 if never.
    time("until_us"),
    # The time of the answer that approved or denied it.
    time("decided_us", nullable=True),
    # The last change of the state: when, by whom, from where, and why.
    time("changed_us"),
    word("changed_by"),
    word("changed_from"),
    word("cause"),
    # The use that consumed it.
    word("use_id", nullable=True),
    Column("change", BigInteger, nullable=False),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    # One pending approval for each fingerprint, over all replicas.
    partial_index("uq_approvals_pending", "fingerprint", where=PENDING, unique=True),
    partial_index("ix_approvals_live", "fingerprint", where=LIVE),
    partial_index("ix_approvals_grant_pending", "grant_id", "until_us", where=PENDING),
    Index("ix_approvals_created", "created_us", "id"),
    Index("ix_approvals_state", "state", "created_us", "id"),
    # Not a partial one: SQLite would prefer the index before this, and look at every row of a state.
    Index("ix_approvals_until", "state", "until_us"),
    Index("ix_approvals_grant_state", "grant_id", "state", "created_us", "id"),
    Index("ix_approvals_grant", "grant_id", "created_us", "id"),
    Index("ix_approvals_decided", "grant_id", "server", "tool", "decided_us"),
    Index("ix_approvals_change", "change"),
)

evidence: Final = Table(
    "evidence",
    metadata,
    Column("approval_id", RandomId, ForeignKey("approvals.id", ondelete="CASCADE"), primary_key=True),
    # The arguments as JSON, masked; null once their time is over.
    word("arguments", nullable=True),
    # Everything else as JSON.
    word("document"),
    # The last answers for the same grant and tool, at its creation.
    Column("recent", JSON, nullable=False),
    time("created_us"),
    partial_index("ix_evidence_arguments", "created_us", where="arguments IS NOT NULL"),
)

answers: Final = Table(
    "answers",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("approval_id", RandomId, ForeignKey("approvals.id", ondelete="CASCADE"), nullable=False),
    word("issuer"),
    word("subject"),
    # The groups of the person at the time of the answer.
    Column("groups", JSON, nullable=False),
    word("verdict"),
    word("reason"),
    word("source"),
    # The terms of a permit, as JSON text; null for an answer about this call alone.
    word("terms", nullable=True),
    time("answered_us"),
    # The passkey that was asked for the answer.
    word("passkey", nullable=True),
    # False once another answer of the person, or other terms, took its place, or the person was changed.
    Column("is_current", Boolean, nullable=False),
    CheckConstraint("verdict IN ('approve', 'deny')", name="verdict"),
    Index("ix_answers_approval", "approval_id"),
    partial_index("uq_answers_current", "approval_id", "issuer", "subject", where="is_current", unique=True),
)
