"""The tables of approvals."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final[str | None] = None
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("grant_id", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("policy_digest", sa.String(), nullable=False),
        sa.Column("pin_digest", sa.String(), nullable=True),
        sa.Column("owner_issuer", sa.String(), nullable=True),
        sa.Column("owner_subject", sa.String(), nullable=True),
        sa.Column("needs", sa.JSON(), nullable=False),
        sa.Column("open_rule", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("decided_us", sa.BigInteger(), nullable=True),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_from", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("use_id", sa.String(), nullable=True),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'approved', 'denied', 'consumed', 'expired', 'ended')",
            name=op.f("ck_approvals_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_change", "approvals", ["change"], unique=False)
    op.create_index("ix_approvals_created", "approvals", ["created_us", "id"], unique=False)
    op.create_index("ix_approvals_decided", "approvals", ["grant_id", "server", "tool", "decided_us"], unique=False)
    op.create_index("ix_approvals_grant", "approvals", ["grant_id", "created_us", "id"], unique=False)
    op.create_index("ix_approvals_grant_state", "approvals", ["grant_id", "state", "created_us", "id"], unique=False)
    op.create_index(
        "ix_approvals_grant_pending",
        "approvals",
        ["grant_id", "until_us"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_approvals_live",
        "approvals",
        ["fingerprint"],
        unique=False,
        sqlite_where=sa.text("state IN ('pending', 'approved', 'denied')"),
        postgresql_where=sa.text("state IN ('pending', 'approved', 'denied')"),
    )
    op.create_index("ix_approvals_state", "approvals", ["state", "created_us", "id"], unique=False)
    op.create_index("ix_approvals_until", "approvals", ["state", "until_us"], unique=False)
    op.create_index(
        "uq_approvals_pending",
        "approvals",
        ["fingerprint"],
        unique=True,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "changes",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_changes")),
    )
    op.create_table(
        "answers",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("approval_id", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("terms", sa.String(), nullable=True),
        sa.Column("answered_us", sa.BigInteger(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.CheckConstraint("verdict IN ('approve', 'deny')", name=op.f("ck_answers_verdict")),
        sa.ForeignKeyConstraint(
            ["approval_id"], ["approvals.id"], name=op.f("fk_answers_approval_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_answers")),
    )
    op.create_index("ix_answers_approval", "answers", ["approval_id"], unique=False)
    op.create_index(
        "uq_answers_current",
        "answers",
        ["approval_id", "issuer", "subject"],
        unique=True,
        sqlite_where=sa.text("is_current"),
        postgresql_where=sa.text("is_current"),
    )
    op.create_table(
        "evidence",
        sa.Column("approval_id", sa.String(), nullable=False),
        sa.Column("arguments", sa.String(), nullable=True),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("recent", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["approval_id"], ["approvals.id"], name=op.f("fk_evidence_approval_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("approval_id", name=op.f("pk_evidence")),
    )
    op.create_index(
        "ix_evidence_arguments",
        "evidence",
        ["created_us"],
        unique=False,
        sqlite_where=sa.text("arguments IS NOT NULL"),
        postgresql_where=sa.text("arguments IS NOT NULL"),
    )
