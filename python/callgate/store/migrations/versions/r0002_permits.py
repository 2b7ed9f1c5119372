"""The tables of permits."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final[str | None] = "0001"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "permits",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("approval_id", sa.String(), nullable=False),
        sa.Column("grant_id", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("pin_digest", sa.String(), nullable=True),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("terms", sa.String(), nullable=False),
        sa.Column("max_uses", sa.Integer(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.JSON(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_from", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'ended')", name=op.f("ck_permits_state")),
        sa.CheckConstraint("uses_left BETWEEN 0 AND max_uses", name=op.f("ck_permits_uses_left")),
        sa.ForeignKeyConstraint(
            ["approval_id"], ["approvals.id"], name=op.f("fk_permits_approval_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permits")),
    )
    op.create_index(
        "ix_permits_active",
        "permits",
        ["grant_id", "server", "tool"],
        unique=False,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index("ix_permits_approval", "permits", ["approval_id"], unique=False)
    op.create_index("ix_permits_change", "permits", ["change"], unique=False)
    op.create_index(
        "ix_permits_ends",
        "permits",
        ["ends_us"],
        unique=False,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index("ix_permits_grant", "permits", ["grant_id", "made_us", "id"], unique=False)
    op.create_index("ix_permits_made", "permits", ["made_us", "id"], unique=False)
    op.create_table(
        "permit_uses",
        sa.Column("use_id", sa.String(), nullable=False),
        sa.Column("permit_id", sa.String(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=False),
        sa.Column("given_back_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["permit_id"], ["permits.id"], name=op.f("fk_permit_uses_permit_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("use_id", name=op.f("pk_permit_uses")),
    )
    op.create_index("ix_permit_uses_permit", "permit_uses", ["permit_id"], unique=False)
