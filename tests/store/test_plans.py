"""Lists and look-ups go by an index, so that they take as long after years as on the first day."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from callgate.store.live import count_live
from callgate.store.model import State
from callgate.store.place import in_folder, parse_place
from callgate.store.store import Store, open_store
from support.approvals import CALLER, DAY, NOW
from support.postgres import Postgres

TOKEN = "MTgwMDAwMDAwMDAwMDAwMCBhYmNk"
LOOKS: dict[str, Callable[[Store], object]] = {
    "all approvals": lambda store: store.approvals.page(NOW),
    "a later page": lambda store: store.approvals.page(NOW, token=TOKEN),
    "approvals of a state": lambda store: store.approvals.page(NOW, state=State.PENDING, token=TOKEN),
    "approvals of a grant": lambda store: store.approvals.page(NOW, grant="g", token=TOKEN),
    "approvals of both": lambda store: store.approvals.page(NOW, grant="g", state=State.PENDING, token=TOKEN),
    "the beginning of an id": lambda store: store.approvals.find("abcd"),
    "changed approvals": lambda store: store.approvals.since(7, NOW),
    "counted approvals": lambda store: count_live(store.database, NOW),
    "the end of a grant": lambda store: store.approvals.end_of_grant("g", CALLER, "", NOW),
    "the end of a pin": lambda store: store.approvals.end_of_pin("s", "t", "d", CALLER, NOW),
    "old approvals": lambda store: store.approvals.forget(NOW, keep_arguments_us=DAY, keep_us=DAY),
    "all permits": lambda store: store.permits.page(NOW, token=TOKEN),
    "active permits": lambda store: store.permits.page(NOW, active=True),
    "permits of a grant": lambda store: store.permits.page(NOW, grant="g", active=True),
    "changed permits": lambda store: store.permits.since(7, NOW),
    "freezes in force": lambda store: store.freezes.in_force(NOW),
    "all freezes": lambda store: store.freezes.page(token=TOKEN),
    "grants": lambda store: store.grants.page(after="g"),
    "versions of a grant": lambda store: store.grants.versions("g"),
    "changed grants": lambda store: store.grants.since(7),
    "the admin audit": lambda store: store.audit.page(kind="grants", before=9),
    "the admin audit of a thing": lambda store: store.audit.page(kind="grants", object_id="g"),
}


@contextmanager
def statements(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """The statements that read in this block, with their values."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, values))

    engines = store.database.engine, store.database.writing
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def plan(store: Store, statement: str, values: Any) -> str:
    with store.database.engine.connect() as connection:
        words = "EXPLAIN QUERY PLAN" if store.database.is_sqlite else "EXPLAIN"
        rows = connection.exec_driver_sql(f"{words} {statement}", values).all()
    return "\n".join(str(row[-1]) for row in rows)


@pytest.mark.parametrize("name", LOOKS)
def test_nothing_is_read_whole(tmp_path: Path, name: str) -> None:
    store = open_store(in_folder(tmp_path))
    with statements(store) as seen:
        LOOKS[name](store)
    for statement, values in seen:
        found = plan(store, statement, values)
        # Sorted are only live ones of a grant or a tool, of which there are few.
        assert "TEMP B-TREE" not in found or name.startswith(("the end of", "counted")), found
        assert not re.search(r"^SCAN (?!.*USING (COVERING )?INDEX ix_\w+$)(?!changes)", found, re.M), found
    store.close()


def test_histories_are_left_alone(tmp_path: Path) -> None:
    store = open_store(in_folder(tmp_path))
    with statements(store) as seen:
        store.permits.page(NOW, active=True)
        store.freezes.in_force(NOW)
        store.approvals.end_of_pin("s", "t", "d", CALLER, NOW)
        count_live(store.database, NOW)
    plans = [plan(store, *one) for one in seen]
    assert "ix_permits_active_made" in plans[0]
    assert "ix_freezes_standing" in plans[1]
    assert "ix_approvals_until (state=? AND until_us>?)" in plans[2]
    assert "ix_approvals_until (state=? AND until_us>?)" in plans[-2]
    assert "ix_permits_ends (ends_us>?)" in plans[-1]
    store.close()


def test_postgresql_finds_ids_by_their_beginnings(postgres: Postgres) -> None:
    store = open_store(parse_place(postgres.new_schema()))
    with statements(store) as seen:
        store.approvals.find("abcd")
        store.permits.find("abcd")
    with store.database.engine.connect() as connection:
        # A table without rows is read whole otherwise.
        connection.execute(text("SET enable_seqscan = off"))
        for statement, values in seen:
            rows = connection.exec_driver_sql(f"EXPLAIN {statement}", values).all()
            assert "Index Cond: ((id >= 'abcd'" in "\n".join(row[0] for row in rows)
    store.close()
