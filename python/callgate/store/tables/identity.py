"""People, machine tokens, sessions, one-time links, used logins, and attempts to log in."""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, CheckConstraint, Column, Index, Integer, String, Table

from callgate.store.tables.base import metadata, time, word

people: Final = Table(
    "people",
    metadata,
    Column("name", String, primary_key=True),
    # Sorted lists of names.
    Column("roles", JSON, nullable=False),
    Column("groups", JSON, nullable=False),
    # As argon2 encodes it, with its parameters and salt.
    word("password_hash"),
    Column("is_active", Boolean, nullable=False),
    time("made_us"),
    time("changed_us"),
    time("password_us"),
    Column("change", BigInteger, nullable=False),
)

machine_tokens: Final = Table(
    "machine_tokens",
    metadata,
    Column("id", String, primary_key=True),
    word("name"),
    # SHA-256 of the token, as hex digits; likewise below.
    word("hash"),
    Column("roles", JSON, nullable=False),
    # A sorted list of areas; null for all that a token can have.
    Column("scopes", JSON(none_as_null=True), nullable=True),
    time("made_us"),
    word("made_by"),
    word("made_from"),
    time("expires_us"),
    time("revoked_us", nullable=True),
    time("used_us", nullable=True),
    Column("change", BigInteger, nullable=False),
    Index("uq_machine_tokens_hash", "hash", unique=True),
    Index("ix_machine_tokens_made", "made_us", "id"),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("hash", String, primary_key=True),
    word("issuer"),
    word("subject"),
    # True if a one-time link opened it: the person is the system's user, and not in `people`.
    Column("is_of_link", Boolean, nullable=False),
    time("made_us"),
    time("expires_us"),
    time("used_us"),
    word("source"),
    # Of people whom an issuer has logged in alone: their name, and their groups there as a sorted list.
    word("name", nullable=True),
    Column("groups", JSON(none_as_null=True), nullable=True),
    # The session at the issuer, by which the issuer ends it.
    word("sid", nullable=True),
    # The time at which the person has proven to the issuer who they are, if it says so.
    time("authenticated_us", nullable=True),
    Index("ix_sessions_person", "issuer", "subject"),
    Index("ix_sessions_sid", "issuer", "sid"),
    Index("ix_sessions_expires", "expires_us"),
)

login_links: Final = Table(
    "login_links",
    metadata,
    Column("hash", String, primary_key=True),
    # The system's user as whom the link logs in.
    word("subject"),
    time("made_us"),
    time("expires_us"),
    time("used_us", nullable=True),
)

used_logins: Final = Table(
    "used_logins",
    metadata,
    # SHA-256 of what may be used once: an answer of an issuer, an ID token of a program, the id of a logout.
    Column("digest", String, primary_key=True),
    time("until_us"),
    Index("ix_used_logins_until", "until_us"),
)

login_attempts: Final = Table(
    "login_attempts",
    metadata,
    Column("kind", String, primary_key=True),
    # 16 bits of a digest, so that there are never more than 65,536 rows of a kind; for `known`, the whole digest.
    Column("key", String, primary_key=True),
    Column("failures", Integer, nullable=False),
    time("last_us"),
    CheckConstraint("kind IN ('name', 'source', 'pair', 'known', 'link')", name="kind"),
    Index("ix_login_attempts_last", "last_us"),
)
