"""Freezes."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, String, Table

from callgate.store.tables.base import metadata, partial_index, time, word

STANDING: Final = "ended_us IS NULL"
"""The condition of a partial index, which queries repeat as text."""

freezes: Final = Table(
    "freezes",
    metadata,
    Column("id", String, primary_key=True),
    word("scope"),
    word("server", nullable=True),
    word("grant_id", nullable=True),
    # A pattern of tools at the server.
    word("tool", nullable=True),
    word("reason"),
    time("made_us"),
    word("made_by"),
    word("made_from"),
    time("until_us", nullable=True),
    time("ended_us", nullable=True),
    word("ended_by", nullable=True),
    word("ended_from", nullable=True),
    word("ended_why", nullable=True),
    Column("change", BigInteger, nullable=False),
    CheckConstraint(
        "(scope = 'all' AND server IS NULL AND grant_id IS NULL AND tool IS NULL)"
        " OR (scope = 'server' AND server IS NOT NULL AND grant_id IS NULL AND tool IS NULL)"
        " OR (scope = 'grant' AND server IS NULL AND grant_id IS NOT NULL AND tool IS NULL)"
        " OR (scope = 'tool' AND server IS NOT NULL AND grant_id IS NULL AND tool IS NOT NULL)",
        name="scope",
    ),
    partial_index("ix_freezes_standing", "until_us", where=STANDING),
    Index("ix_freezes_made", "made_us", "id"),
    Index("ix_freezes_change", "change"),
)
