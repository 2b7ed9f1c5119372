"""An issuer that says what a test wants, and the admin port that people reach through it."""

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
from callgate.identity.oidc.issuers import Issuers
from callgate.identity.reports import LoginReport
from callgate.store.store import Store
from support.identities import Clock, clock, passwords, store
from support.login.issuer import FakeIssuer, fake_issuer
from support.login.settings import Settings
from support.site import Browser

__all__ = ["clock", "passwords", "store"]


@pytest.fixture
def issuer(clock: Clock) -> Iterator[FakeIssuer]:
    with fake_issuer(lambda: clock() / 1_000_000) as issuer:
        yield issuer


@pytest.fixture
def address() -> Iterator[BoundAddress]:
    address = BoundAddress("127.0.0.1:0")
    yield address
    address.close()


@pytest.fixture
def settings(issuer: FakeIssuer, address: BoundAddress) -> Settings:
    return Settings(issuer.url, f"http://{address}")


@pytest.fixture
def reports() -> list[LoginReport]:
    return []


@pytest.fixture
def issuers(settings: Settings, clock: Clock) -> Issuers:
    return Issuers(settings, settings.public_url, lambda: clock() / 1_000_000)


@pytest.fixture
def identities(store: Store, clock: Clock, issuers: Issuers, reports: list[LoginReport]) -> Identities:
    return Identities(store, clock=clock, observer=reports.append, issuers=issuers)


@pytest.fixture
def browser(
    store: Store, clock: Clock, identities: Identities, settings: Settings, address: BoundAddress
) -> Iterator[Browser]:
    pages = Pages(CollectorRegistry())
    pages.site = Site(store, identities, is_private=True, clock_us=clock, public_url=settings.public_url)
    admin = AdminServer(address, pages)
    admin.start()
    with ExitStack() as stack:
        yield Browser(stack, admin.address)
    admin.stop()
