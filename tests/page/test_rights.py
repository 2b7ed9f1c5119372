"""Every route of the pages takes a login and a role, but for those that are listed here."""

from __future__ import annotations

from typing import cast

import pytest
from starlette.routing import Route

from callgate.admin.site import Site
from callgate.control.port.pages import Pages
from callgate.identity.identities import Identities
from callgate.identity.passwords import Passwords
from callgate.identity.principal import Principal
from callgate.store.model import Actor, PermitBounds, Person, State, Waiting
from callgate.store.people import PersonEdit, Role
from callgate.store.store import Store
from support.approvals import HOUR, NOW, ask, need
from support.site import GOOD, Browser

PUBLIC = {
    ("GET", "/"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/login/once"),
    ("GET", "/openapi.json"),
    ("GET", "/style.css"),
}
WITHOUT_ROLE = {("POST", "/logout"), ("POST", "/logout/token")}
BOUNDS = PermitBounds(max_uses=5, max_duration_us=HOUR)


pytestmark = pytest.mark.usefixtures("people")


@pytest.fixture(autouse=True)
def _manager(store: Store, passwords: Passwords) -> None:
    pol = PersonEdit("pol", frozenset({Role.POLICY_MANAGER}), frozenset(), passwords.hash(GOOD))
    store.people.put(pol, Actor("root (local)", "terminal"), "", NOW)


@pytest.fixture
def approval(store: Store) -> str:
    [outcome] = store.approvals.ask([ask("f", need(permit=BOUNDS))], NOW)
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


@pytest.fixture
def guarded(pages: Pages) -> list[tuple[str, str]]:
    """The method and the path of each route that is not public."""
    routes = [cast("Route", route) for route in cast("Site", pages.site).routes]
    found = [(method, route.path) for route in routes for method in sorted(route.methods or ()) if method != "HEAD"]
    assert set(found) >= PUBLIC | WITHOUT_ROLE
    return [one for one in found if one not in PUBLIC]


def statuses(browser: Browser, routes: list[tuple[str, str]], approval: str) -> dict[tuple[str, str], int]:
    """The answers to requests without the token of forms."""
    found = {}
    for method, path in routes:
        at = path.replace("{id}", approval)
        answer = browser.get(at) if method == "GET" else browser.post(at, {"uses": "1", "minutes": "1"})
        found[method, path] = answer.status_code
    return found


def test_nothing_is_answered_without_a_login(
    browser: Browser, guarded: list[tuple[str, str]], approval: str, store: Store
) -> None:
    found = statuses(browser, guarded, approval)
    # A page leads to the login.
    assert found == {one: 303 if one[0] == "GET" else 401 for one in guarded}
    assert store.approvals.get(approval, NOW).state is State.PENDING


def test_nothing_is_answered_without_a_role(
    browser: Browser,
    guarded: list[tuple[str, str]],
    approval: str,
    identities: Identities,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    browser.log_in("vic")
    nobody = Principal("nob (local)", Person("local", "nob"), frozenset())
    monkeypatch.setattr(identities, "of_session", lambda *_: nobody)
    assert statuses(browser, guarded, approval) == dict.fromkeys(guarded, 403)


@pytest.mark.parametrize("name", ["vic", "pol"])
def test_other_roles_read_alone(
    browser: Browser, guarded: list[tuple[str, str]], approval: str, store: Store, name: str
) -> None:
    browser.log_in(name)
    assert statuses(browser, guarded, approval) == {one: 200 if one[0] == "GET" else 403 for one in guarded}
    token = browser.fields(f"/approvals/{approval}")["form_token"]
    for method, path in guarded:
        if method == "POST" and (method, path) not in WITHOUT_ROLE:
            refused = browser.post(path.replace("{id}", approval), {"form_token": token})
            assert (refused.status_code, "takes the role `approver`" in refused.text) == (403, True), path
    assert store.approvals.get(approval, NOW).state is State.PENDING


def test_no_form_is_taken_without_its_token(
    browser: Browser, guarded: list[tuple[str, str]], approval: str, store: Store
) -> None:
    browser.log_in("adm")
    forms = [one for one in guarded if one[0] == "POST"]
    assert statuses(browser, forms, approval) == dict.fromkeys(forms, 403)
    assert store.approvals.get(approval, NOW).state is State.PENDING
    assert browser.get("/approvals").status_code == 200
