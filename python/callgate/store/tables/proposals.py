"""Changes of documents that wait for another person."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table

from callgate.store.tables.base import RandomId, metadata, time, word

proposals: Final = Table(
    "proposals",
    metadata,
    Column("id", RandomId, primary_key=True),
    # The kind and the id of the document; see `documents`.
    word("kind"),
    word("object_id"),
    # The document; null for a deletion.
    word("content", nullable=True),
    # The version in force when it was proposed; 0 for none.
    Column("base_version", BigInteger, nullable=False),
    word("reason"),
    word("state"),
    time("made_us"),
    time("until_us"),
    word("made_by"),
    word("made_from"),
    # The person who has proposed it, or has made the token of the machine that has, as records name them.
    word("behind"),
    time("decided_us", nullable=True),
    word("decided_by", nullable=True),
    word("decided_from", nullable=True),
    word("decided_reason", nullable=True),
    CheckConstraint("state IN ('pending', 'confirmed', 'rejected')", name="state"),
    Index("ix_proposals_made", "made_us", "id"),
    Index("ix_proposals_state", "state", "made_us", "id"),
)
