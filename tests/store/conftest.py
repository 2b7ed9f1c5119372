"""The store in both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from callgate.store.place import Place, in_folder, parse_place
from callgate.store.store import Store, open_store
from support.postgres import Postgres, running_postgres

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of this process."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=DATABASES)
def empty_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place without a store."""
    if request.param == "sqlite":
        return in_folder(tmp_path / "state")
    server: Postgres = request.getfixturevalue("postgres")
    return parse_place(server.new_schema())


@pytest.fixture
def store(empty_place: Place) -> Iterator[Store]:
    """An open store."""
    store = open_store(empty_place)
    yield store
    store.close()
