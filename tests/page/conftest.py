"""The admin port over an open store, with people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from callgate.admin.site import Site
from callgate.control.http import AdminServer
from callgate.control.pages import Pages
from callgate.identity.identities import Identities
from callgate.identity.passwords import Passwords
from callgate.store.model import Actor
from callgate.store.people import PersonEdit, Role
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store
from support.approvals import NOW
from support.site import GOOD, Browser

BY = Actor("root (local)", "terminal")


class Clock:
    def __init__(self) -> None:
        self.now_us = NOW

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(in_folder(tmp_path))
    yield store
    store.close()


@pytest.fixture(scope="session")
def passwords() -> Passwords:
    return Passwords()


@pytest.fixture
def identities(store: Store, clock: Clock, passwords: Passwords) -> Identities:
    return Identities(store, passwords=passwords, clock=clock)


@pytest.fixture
def people(store: Store, passwords: Passwords) -> None:
    """ann answers for the group dba, vic only reads, and adm is an admin."""
    hashed = passwords.hash(GOOD)
    for name, role, groups in [
        ("ann", Role.APPROVER, {"dba"}),
        ("vic", Role.VIEWER, set()),
        ("adm", Role.ADMIN, set()),
    ]:
        store.people.put(PersonEdit(name, frozenset({role}), frozenset(groups), hashed), BY, "", NOW)


@pytest.fixture
def pages(store: Store, identities: Identities, clock: Clock) -> Pages:
    pages = Pages(CollectorRegistry())
    pages.site = Site(store, identities, is_private=True, clock_us=clock)
    return pages


@pytest.fixture
def admin(pages: Pages) -> Iterator[AdminServer]:
    admin = AdminServer("127.0.0.1:0", pages)
    admin.start()
    yield admin
    admin.stop()


@pytest.fixture
def browser(admin: AdminServer) -> Iterator[Browser]:
    with ExitStack() as stack:
        yield Browser(stack, admin.address)
