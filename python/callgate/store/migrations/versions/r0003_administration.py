"""The tables of freezes, documents, pins and the admin audit."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final[str | None] = "0002"
branch_labels: Final = None
depends_on: Final = None

_APPEND_ONLY: Final = "the admin audit is append-only"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "accepted_pins",
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("definition", sa.String(), nullable=False),
        sa.Column("accepted_us", sa.BigInteger(), nullable=False),
        sa.Column("accepted_by", sa.String(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("server", "tool", "digest", name=op.f("pk_accepted_pins")),
    )
    op.create_index("ix_accepted_pins_change", "accepted_pins", ["change"], unique=False)
    op.create_table(
        "admin_audit",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("digest_before", sa.String(), nullable=True),
        sa.Column("digest_after", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_admin_audit")),
    )
    op.create_index("ix_admin_audit_kind", "admin_audit", ["kind", "number"], unique=False)
    op.create_index("ix_admin_audit_object", "admin_audit", ["kind", "object_id", "number"], unique=False)
    op.create_table(
        "document_versions",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_from", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", "version", name=op.f("pk_document_versions")),
    )
    op.create_table(
        "documents",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('grants', 'servers', 'policies')", name=op.f("ck_documents_kind")),
        sa.PrimaryKeyConstraint("kind", "id", name=op.f("pk_documents")),
    )
    op.create_index("ix_documents_change", "documents", ["kind", "change"], unique=False)
    op.create_table(
        "freezes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=True),
        sa.Column("grant_id", sa.String(), nullable=True),
        sa.Column("tool", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_from", sa.String(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("ended_from", sa.String(), nullable=True),
        sa.Column("ended_why", sa.String(), nullable=True),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(scope = 'all' AND server IS NULL AND grant_id IS NULL AND tool IS NULL)"
            " OR (scope = 'server' AND server IS NOT NULL AND grant_id IS NULL AND tool IS NULL)"
            " OR (scope = 'grant' AND server IS NULL AND grant_id IS NOT NULL AND tool IS NULL)"
            " OR (scope = 'tool' AND server IS NOT NULL AND grant_id IS NULL AND tool IS NOT NULL)",
            name=op.f("ck_freezes_scope"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_freezes")),
    )
    op.create_index("ix_freezes_change", "freezes", ["change"], unique=False)
    op.create_index("ix_freezes_made", "freezes", ["made_us", "id"], unique=False)
    op.create_index(
        "ix_freezes_standing",
        "freezes",
        ["until_us"],
        unique=False,
        sqlite_where=sa.text("ended_us IS NULL"),
        postgresql_where=sa.text("ended_us IS NULL"),
    )
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER admin_audit_no_{change.lower()} BEFORE {change} ON admin_audit "
                f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION admin_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_APPEND_ONLY}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER admin_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON admin_audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION admin_audit_append_only()"
    )
