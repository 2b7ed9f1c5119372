"""The tables of notices, and of the records that a collector was sent."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0007"
down_revision: Final[str | None] = "0006"
branch_labels: Final = None
depends_on: Final = None

_ID: Final = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "notice_events",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("approval_id", _ID, nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_notice_events")),
    )
    op.create_table(
        "notice_receivers",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address_digest", sa.String(), nullable=False),
        sa.Column("read_number", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.Column("stopped_us", sa.BigInteger(), nullable=True),
        sa.Column("stop_cause", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notice_receivers")),
    )
    op.create_table(
        "notices",
        sa.Column("id", _ID, nullable=False),
        sa.Column("receiver", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("approval_id", _ID, nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.String(), nullable=False),
        sa.Column("link_until_us", sa.BigInteger(), nullable=False),
        sa.Column("person_issuer", sa.String(), nullable=True),
        sa.Column("person_subject", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("done_us", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'dead', 'obsolete')", name=op.f("ck_notices_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    waiting = sa.text("state = 'waiting'")
    op.create_index(
        "ix_notices_due",
        "notices",
        ["receiver", "due_us", "number"],
        unique=False,
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_index("ix_notices_state", "notices", ["state", "receiver", "made_us", "id"], unique=False)
    op.create_index("ix_notices_made", "notices", ["made_us", "id"], unique=False)
    op.create_table(
        "telemetry_cursors",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_telemetry_cursors")),
    )
