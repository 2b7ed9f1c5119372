"""An index of active permits, and ids that PostgreSQL finds by their beginnings."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0006"
down_revision: Final[str | None] = "0005"
branch_labels: Final = None
depends_on: Final = None

_IDS: Final = (
    ("approvals", "id"),
    ("evidence", "approval_id"),
    ("answers", "approval_id"),
    ("permits", "id"),
    ("permits", "approval_id"),
    ("permit_uses", "permit_id"),
)


def upgrade() -> None:
    """Makes the index, and orders ids by their bytes, as SQLite does."""
    active = sa.text("state = 'active'")
    op.create_index(
        "ix_permits_active_made",
        "permits",
        ["made_us", "id"],
        unique=False,
        sqlite_where=active,
        postgresql_where=active,
    )
    if op.get_context().dialect.name == "postgresql":
        for table, column in _IDS:
            op.alter_column(table, column, type_=sa.String(collation="C"))
