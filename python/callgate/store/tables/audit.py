"""The admin audit, whose rows the database refuses to change or delete, its readers, and checkpoints of signed logs."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, String, Table

from callgate.store.tables.base import Number, metadata, time, word

admin_audit: Final = Table(
    "admin_audit",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    time("at_us"),
    # Who: a person or a machine, and from where.
    word("actor"),
    word("source"),
    # What: the change, and the kind and id of the thing.
    word("action"),
    word("kind"),
    word("object_id"),
    word("digest_before", nullable=True),
    word("digest_after", nullable=True),
    word("reason"),
    Index("ix_admin_audit_kind", "kind", "number"),
    Index("ix_admin_audit_object", "kind", "object_id", "number"),
)

telemetry_cursors: Final = Table(
    "telemetry_cursors",
    metadata,
    # The records that are sent to a collector; today those of the admin audit alone.
    Column("name", String, primary_key=True),
    # The number of the last record that a replica has taken.
    Column("number", BigInteger, nullable=False),
)

audit_logs: Final = Table(
    "audit_logs",
    metadata,
    # The name of a signed log, and that of its stream: a stream has another log after a break.
    Column("origin", String, primary_key=True),
    word("stream"),
    # The process that writes it, and the time until which no other one may.
    word("holder"),
    time("held_until_us"),
    # The admin changes after the first number, up to the second one, are in it.
    Column("admin_from", BigInteger, nullable=False),
    Column("admin_until", BigInteger, nullable=False),
    Index("ix_audit_logs_stream", "stream"),
)

audit_checkpoints: Final = Table(
    "audit_checkpoints",
    metadata,
    Column("origin", String, primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    time("at_us"),
    # As it was signed.
    word("note"),
)
