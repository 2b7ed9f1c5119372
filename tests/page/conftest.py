"""The admin port over an open store, with people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry

from callgate.admin.site import Site
from callgate.control.port.address import BoundAddress
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.identity.identities import Identities
from callgate.identity.passwords import Passwords
from callgate.store.model import Actor
from callgate.store.people import PersonEdit, Role
from callgate.store.store import Store
from support.approvals import NOW
from support.identities import Clock, clock, identities, passwords, store
from support.site import GOOD, Browser

__all__ = ["clock", "identities", "passwords", "store"]

BY = Actor("root (local)", "terminal")


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
    admin = AdminServer(BoundAddress("127.0.0.1:0"), pages)
    admin.start()
    yield admin
    admin.stop()


@pytest.fixture
def browser(admin: AdminServer) -> Iterator[Browser]:
    with ExitStack() as stack:
        yield Browser(stack, admin.address)
