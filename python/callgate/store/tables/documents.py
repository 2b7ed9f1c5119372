"""Grants, servers and policies with all their versions, and accepted pins."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, String, Table

from callgate.store.tables.base import metadata, time, word

documents: Final = Table(
    "documents",
    metadata,
    Column("kind", String, primary_key=True),
    Column("id", String, primary_key=True),
    # The version in force, also of a deleted one: ids are never used for something else.
    Column("version", Integer, nullable=False),
    Column("is_deleted", Boolean, nullable=False),
    Column("change", BigInteger, nullable=False),
    CheckConstraint("kind IN ('grants', 'servers', 'policies')", name="kind"),
    Index("ix_documents_change", "kind", "change"),
)

document_versions: Final = Table(
    "document_versions",
    metadata,
    Column("kind", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    # Null for a version that deletes it.
    word("content", nullable=True),
    # SHA-256 of the content; null without one.
    word("digest", nullable=True),
    time("made_us"),
    word("made_by"),
    word("made_from"),
    word("reason"),
)

accepted_pins: Final = Table(
    "accepted_pins",
    metadata,
    Column("server", String, primary_key=True),
    Column("tool", String, primary_key=True),
    Column("digest", String, primary_key=True),
    # The accepted description of the tool, as JSON.
    word("definition"),
    time("accepted_us"),
    word("accepted_by"),
    Column("is_deleted", Boolean, nullable=False),
    Column("change", BigInteger, nullable=False),
    Index("ix_accepted_pins_change", "change"),
)
