"""Answers to requests that may be repeated, and the replicas that use the store."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Index, LargeBinary, String, Table

from callgate.store.tables.base import metadata, time, word

admin_requests: Final = Table(
    "admin_requests",
    metadata,
    # The caller, and the id that the caller gave to the request.
    Column("caller", String, primary_key=True),
    Column("request_id", String, primary_key=True),
    word("method"),
    # SHA-256 of the request.
    word("digest"),
    # The answer as a message, without secrets.
    Column("answer", LargeBinary, nullable=False),
    time("made_us"),
    Index("ix_admin_requests_made", "made_us"),
)

replicas: Final = Table(
    "replicas",
    metadata,
    Column("id", String, primary_key=True),
    word("host"),
    time("started_us"),
    time("seen_us"),
    # Null while it runs.
    time("stopped_us", nullable=True),
    # Its state as JSON.
    word("status"),
    Index("ix_replicas_seen", "seen_us"),
)
