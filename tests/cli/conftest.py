"""A state folder, and its store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from callgate.store.place import in_folder
from callgate.store.store import Store, open_store


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder that is not there yet."""
    return tmp_path / "state"


@pytest.fixture
def store(state: Path) -> Iterator[Store]:
    """The store in the state folder."""
    store = open_store(in_folder(state))
    yield store
    store.close()
