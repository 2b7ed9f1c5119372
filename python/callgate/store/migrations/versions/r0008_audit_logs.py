"""Signed decision logs and their checkpoints."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0008"
down_revision: Final[str | None] = "0007"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "audit_logs",
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("held_until_us", sa.BigInteger(), nullable=False),
        sa.Column("admin_from", sa.BigInteger(), nullable=False),
        sa.Column("admin_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_audit_logs")),
    )
    op.create_index("ix_audit_logs_stream", "audit_logs", ["stream"], unique=False)
    op.create_table(
        "audit_checkpoints",
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("origin", "size", name=op.f("pk_audit_checkpoints")),
    )
