"""Permits and their uses."""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table

from callgate.store.tables.base import RandomId, metadata, partial_index, time, word

ACTIVE: Final = "state = 'active'"
"""The condition of partial indexes, which queries repeat as text."""

permits: Final = Table(
    "permits",
    metadata,
    Column("id", RandomId, primary_key=True),
    Column("approval_id", RandomId, ForeignKey("approvals.id", ondelete="CASCADE"), nullable=False),
    word("grant_id"),
    word("server"),
    word("tool"),
    word("pin_digest", nullable=True),
    # Rule pointers, each with the digest of its entry's rules.
    Column("rules", JSON, nullable=False),
    # The conditions of the arguments, as JSON text with exact numbers.
    word("terms"),
    Column("max_uses", Integer, nullable=False),
    Column("uses_left", Integer, nullable=False),
    word("state"),
    time("made_us"),
    time("ends_us"),
    # The people who agreed to it.
    Column("made_by", JSON, nullable=False),
    time("changed_us"),
    word("changed_by"),
    word("changed_from"),
    word("cause"),
    Column("change", BigInteger, nullable=False),
    CheckConstraint("state IN ('active', 'ended')", name="state"),
    CheckConstraint("uses_left BETWEEN 0 AND max_uses", name="uses_left"),
    partial_index("ix_permits_active", "grant_id", "server", "tool", where=ACTIVE),
    partial_index("ix_permits_active_made", "made_us", "id", where=ACTIVE),
    partial_index("ix_permits_ends", "ends_us", where=ACTIVE),
    Index("ix_permits_approval", "approval_id"),
    Index("ix_permits_made", "made_us", "id"),
    Index("ix_permits_grant", "grant_id", "made_us", "id"),
    Index("ix_permits_change", "change"),
)

permit_uses: Final = Table(
    "permit_uses",
    metadata,
    Column("use_id", String, primary_key=True),
    Column("permit_id", RandomId, ForeignKey("permits.id", ondelete="CASCADE"), nullable=False),
    time("used_us"),
    time("given_back_us", nullable=True),
    Index("ix_permit_uses_permit", "permit_id"),
)
