"""One sidecar on SQLite, and two on PostgreSQL, for all rows of the matrix."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from callgate.store.place import in_folder, parse_place
from support.postgres import Postgres, running_postgres
from support.scenes import Stage, stage


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of this process."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session", params=["one replica", "two replicas"])
def theatre(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The sidecars; rows that ask at one of two are made again at the other."""
    folder = tmp_path_factory.mktemp("stage")
    if request.param == "one replica":
        place, replicas = in_folder(folder / "store"), 1
    else:
        server: Postgres = request.getfixturevalue("postgres")
        place, replicas = parse_place(server.new_schema()), 2
    with stage(folder, place, replicas) as running:
        yield running
