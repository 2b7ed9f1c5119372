"""Sessions of people whom an issuer has logged in, the logins that are used up, passkeys, and proposals."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0009"
down_revision: Final[str | None] = "0008"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Makes the columns and the tables."""
    _add_logins()
    _add_passkeys()
    _add_proposals()


def _add_logins() -> None:
    op.add_column("sessions", sa.Column("name", sa.String(), nullable=True))
    op.add_column("sessions", sa.Column("groups", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("sessions", sa.Column("sid", sa.String(), nullable=True))
    op.add_column("sessions", sa.Column("authenticated_us", sa.BigInteger(), nullable=True))
    op.create_index("ix_sessions_sid", "sessions", ["issuer", "sid"], unique=False)
    op.create_table(
        "used_logins",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_used_logins")),
    )
    op.create_index("ix_used_logins_until", "used_logins", ["until_us"], unique=False)


def _add_passkeys() -> None:
    op.add_column("approvals", sa.Column("takes_passkey", sa.Boolean(), nullable=True))
    op.add_column("answers", sa.Column("passkey", sa.String(), nullable=True))
    op.create_table(
        "passkeys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("transports", sa.JSON(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("made_from", sa.String(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkeys")),
    )
    op.create_index("ix_passkeys_person", "passkeys", ["issuer", "subject"], unique=False)
    op.create_table(
        "passkey_challenges",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("session_hash", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_passkey_challenges")),
    )
    op.create_index("ix_passkey_challenges_until", "passkey_challenges", ["until_us"], unique=False)
    op.create_index("ix_passkey_challenges_session", "passkey_challenges", ["session_hash"], unique=False)


def _add_proposals() -> None:
    op.create_table(
        "proposals",
        sa.Column("id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=True),
        sa.Column("base_version", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_from", sa.String(), nullable=False),
        sa.Column("behind", sa.String(), nullable=False),
        sa.Column("decided_us", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_from", sa.String(), nullable=True),
        sa.Column("decided_reason", sa.String(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'confirmed', 'rejected')", name=op.f("ck_proposals_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
    )
    op.create_index("ix_proposals_made", "proposals", ["made_us", "id"], unique=False)
    op.create_index("ix_proposals_state", "proposals", ["state", "made_us", "id"], unique=False)
