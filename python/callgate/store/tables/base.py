"""The parts that all tables share, and the number of the last change of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, text

if TYPE_CHECKING:
    from sqlalchemy.sql.elements import TextClause

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

Number: Final = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database gives; SQLite does so for its own type alone."""

RandomId: Final = String().with_variant(String(collation="C"), "postgresql")
"""The id of `ids.py`, ordered by bytes in both databases: so an index finds it by its beginning."""

changes: Final = Table(
    "changes",
    metadata,
    Column("kind", String, primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""The highest number in the column `change` of the rows of a kind. A row gets a new number with each of its changes."""


def time(name: str, *, nullable: bool = False) -> Column[int]:
    """A time in Unix microseconds."""
    return Column(name, BigInteger, nullable=nullable)


def word(name: str, *, nullable: bool = False) -> Column[str]:
    """A text."""
    return Column(name, String, nullable=nullable)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of the rows for which `where` holds."""
    clause: TextClause = text(where)
    options: dict[str, Any] = {"sqlite_where": clause, "postgresql_where": clause}
    return Index(name, *columns, unique=unique, **options)
