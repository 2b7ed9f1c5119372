"""Notices: events of approvals, receivers that read them, and the outbox of each receiver."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, String, Table

from callgate.store.tables.base import RandomId, metadata, partial_index, time, word

WAITING: Final = "state = 'waiting'"
"""The condition of a partial index, which queries repeat as text."""

notice_events: Final = Table(
    "notice_events",
    metadata,
    # A number of the kind `notices`: events commit in the order of their numbers.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("approval_id", RandomId, nullable=False),
    word("event"),
    time("at_us"),
    # Facts of the change that the approval does not keep, as JSON.
    word("facts"),
)

notice_receivers: Final = Table(
    "notice_receivers",
    metadata,
    Column("name", String, primary_key=True),
    # Digest of the address, by which a receiver that was stopped begins anew at another one.
    word("address_digest"),
    # The number of the last event that was put into the outbox, or is none of this receiver's.
    Column("read_number", BigInteger, nullable=False),
    # The time at which a replica had it configured last.
    time("seen_us"),
    # The time from which nothing is sent, and the reason; null while it is served.
    time("stopped_us", nullable=True),
    word("stop_cause", nullable=True),
)

notices: Final = Table(
    "notices",
    metadata,
    # The id of the message, the same for each try.
    Column("id", RandomId, primary_key=True),
    word("receiver"),
    Column("number", BigInteger, nullable=False),
    Column("approval_id", RandomId, nullable=False),
    word("event"),
    time("at_us"),
    word("facts"),
    # The end of the message's link.
    time("link_until_us"),
    # The person to whom the link is bound.
    word("person_issuer", nullable=True),
    word("person_subject", nullable=True),
    word("state"),
    Column("tries", Integer, nullable=False),
    # The time of the next try; of a claimed one, the end of the claim.
    time("due_us"),
    word("claimed_by", nullable=True),
    # The result of the last try.
    word("error", nullable=True),
    time("made_us"),
    time("done_us", nullable=True),
    CheckConstraint("state IN ('waiting', 'sent', 'dead', 'obsolete')", name="state"),
    partial_index("ix_notices_due", "receiver", "due_us", "number", where=WAITING),
    Index("ix_notices_state", "state", "receiver", "made_us", "id"),
    Index("ix_notices_made", "made_us", "id"),
)
