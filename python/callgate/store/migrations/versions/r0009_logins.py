"""Sessions of people whom an issuer has logged in, and the logins that are used up."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0009"
down_revision: Final[str | None] = "0008"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Makes the columns and the table."""
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
