"""Fixtures: a store, a clock by hand, and identities over them. A room's conftest imports those that it wants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from callgate.identity.identities import Identities
from callgate.identity.passwords import Passwords
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store
from support.approvals import NOW


@dataclass
class Clock:
    """A clock that a test moves."""

    now_us: int = NOW

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store."""
    store = open_store(in_folder(tmp_path))
    yield store
    store.close()


@pytest.fixture
def clock() -> Clock:
    """A clock that a test moves."""
    return Clock()


@pytest.fixture(scope="session")
def passwords() -> Passwords:
    """Hashes as a process has them."""
    return Passwords()


@pytest.fixture
def identities(store: Store, clock: Clock, passwords: Passwords) -> Identities:
    """Identities over the store."""
    return Identities(store, passwords=passwords, clock=clock)
