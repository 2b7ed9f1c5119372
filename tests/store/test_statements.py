"""Statements that the driver of SQLite runs: what they give is what SQLAlchemy gives."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import JSON, Boolean, Column, Integer, MetaData, String, Table, bindparam, insert, select, update
from sqlalchemy.engine import Connection

from callgate.store.database import Database
from callgate.store.errors import ConflictError, StoreBusyError
from callgate.store.open import open_database
from callgate.store.place import Place, in_folder
from callgate.store.statements import Statement

_TABLE = Table(
    "things",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("about", JSON),
    Column("is_new", Boolean, nullable=False),
    Column("number", Integer),
)
_COLUMN = _TABLE.c
_ROWS = (
    {"id": "a", "about": {"n": [1]}, "is_new": True, "number": 1},
    {"id": "b", "about": ["x"], "is_new": False, "number": None},
)
_FIND = select(_TABLE).where(_COLUMN.id >= bindparam("first"), _COLUMN.id != "none").order_by(_COLUMN.id)
_COUNT_UP = (
    update(_TABLE)
    .where(_COLUMN.id == bindparam("of_id"))
    .values(number=_COLUMN.number + bindparam("more"))
    .returning(_COLUMN.number)
)


@pytest.fixture
def database(empty_place: Place) -> Iterator[Database]:
    with closing(open_database(empty_place)) as opened:
        opened.write(_TABLE.metadata.create_all)
        opened.write(lambda at: at.execute(insert(_TABLE), list(_ROWS)))
        yield opened


def test_rows_are_those_of_sqlalchemy(database: Database) -> None:
    def work(connection: Connection) -> None:
        found = Statement(_FIND).rows(connection, {"first": "a"})
        plain = connection.execute(_FIND, {"first": "a"}).all()
        for name in ("id", "about", "is_new", "number"):
            assert [getattr(row, name) for row in found] == [getattr(row, name) for row in plain]
        assert len(Statement(_FIND).rows(connection, {"first": "b"})) == 1

    database.read(work)


def test_rows_that_a_change_returns(database: Database) -> None:
    [row] = database.write(lambda at: Statement(_COUNT_UP).rows(at, {"of_id": "a", "more": 4}))
    assert row.number == 5


def test_the_number_of_changed_rows(database: Database) -> None:
    change = Statement(update(_TABLE).where(_COLUMN.id == bindparam("of_id")).values(number=bindparam("count")))
    rows = [{"of_id": name, "count": 7} for name in ("a", "b", "c")]
    assert database.write(lambda at: change.change(at, rows)) == 2


def test_a_parameter_that_is_missing_is_no_null(database: Database) -> None:
    with pytest.raises(Exception, match="first"):
        database.read(lambda at: Statement(_FIND).rows(at, {}))


def test_errors_of_the_driver_are_those_of_the_store(tmp_path: Path) -> None:
    place = in_folder(tmp_path)
    add = Statement(insert(_TABLE).values(id=bindparam("of_id"), is_new=True))
    with closing(open_database(place)) as database:
        database.write(_TABLE.metadata.create_all)
        database.write(lambda at: add.change(at, [{"of_id": "a"}]))
        with pytest.raises(ConflictError):
            database.write(lambda at: add.change(at, [{"of_id": "b"}, {"of_id": "a"}]))
        # Nothing of it was written.
        assert len(database.read(lambda at: Statement(_FIND).rows(at, {"first": ""}))) == 1
        with closing(sqlite3.connect(tmp_path / "callgate.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusyError):
                database.write(lambda _: None)
            other.execute("ROLLBACK")
        database.write(lambda at: add.change(at, [{"of_id": "b"}]))
