"""The admin API over a real channel, on SQLite; `both` runs a test on PostgreSQL too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from callgate.store.place import Place, in_folder, parse_place
from callgate.store.store import open_store
from support.admin import Admin, running_admin
from support.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of this process."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    """The API over a store in SQLite."""
    yield from _running(in_folder(tmp_path / "store"), tmp_path)


@pytest.fixture(params=("sqlite", "postgresql"))
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Admin]:
    """The API over a store in either database."""
    if request.param == "sqlite":
        place = in_folder(tmp_path / "store")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        place = parse_place(server.new_schema())
    yield from _running(place, tmp_path)


def _running(place: Place, folder: Path) -> Iterator[Admin]:
    store = open_store(place)
    try:
        with running_admin(store, folder / "files") as admin:
            yield admin
    finally:
        store.close()
