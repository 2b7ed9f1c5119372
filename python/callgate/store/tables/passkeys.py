"""Passkeys of people, and the challenges that wait for an answer of one."""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, String, Table

from callgate.store.tables.base import metadata, time, word

passkeys: Final = Table(
    "passkeys",
    metadata,
    # The id that the authenticator gave it, as base64url.
    Column("id", String, primary_key=True),
    word("issuer"),
    word("subject"),
    # The words of its person for it.
    word("name"),
    # As COSE encodes it.
    Column("public_key", LargeBinary, nullable=False),
    # The authenticator's count of uses, by which a copy is noticed; 0 if it counts none.
    Column("sign_count", BigInteger, nullable=False),
    # The ways to the authenticator, which browsers are told.
    Column("transports", JSON, nullable=False),
    time("made_us"),
    word("made_from"),
    time("used_us", nullable=True),
    Index("ix_passkeys_person", "issuer", "subject"),
)

passkey_challenges: Final = Table(
    "passkey_challenges",
    metadata,
    # SHA-256 of the challenge, as hex digits; likewise below.
    Column("digest", String, primary_key=True),
    # The session that asked for it.
    word("session_hash"),
    # What it is for, such as one answer to one approval.
    word("purpose"),
    time("until_us"),
    Index("ix_passkey_challenges_until", "until_us"),
    Index("ix_passkey_challenges_session", "session_hash"),
)
