"""Reports of logins and refused tokens: one for each, with the address, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from callgate.errors import StoreError
from callgate.identity.errors import IdentityError, RetryError
from callgate.identity.identities import Identities
from callgate.identity.passwords import Passwords
from callgate.identity.reports import LoginMethod, LoginOutcome, LoginReport
from callgate.identity.secret_text import Prefix, new_secret
from callgate.store.attempts import Attempts
from callgate.store.model import Actor
from callgate.store.people import PersonEdit, Role
from callgate.store.store import Store
from support.approvals import DAY, NOW

if TYPE_CHECKING:
    from support.identities import Clock

BY = Actor("root (local)", "terminal")
GOOD = "correct horse battery"
HERE = "192.0.2.1"


@pytest.fixture
def reports() -> list[LoginReport]:
    return []


@pytest.fixture
def reporting(store: Store, clock: Clock, passwords: Passwords, reports: list[LoginReport]) -> Identities:
    edit = PersonEdit("ann", frozenset({Role.VIEWER}), password_hash=passwords.hash(GOOD))
    store.people.put(edit, BY, "", NOW)
    return Identities(store, passwords=passwords, clock=clock, observer=reports.append)


def test_logins_by_password(reporting: Identities, reports: list[LoginReport]) -> None:
    reporting.log_in("ann", GOOD, HERE)
    for name, password in (("ann", "wrong"), ("my secret password", "x")):
        with pytest.raises(IdentityError):
            reporting.log_in(name, password, HERE)
    method = LoginMethod.PASSWORD
    assert reports == [
        LoginReport(method, LoginOutcome.SUCCESS, HERE, {"name": "ann"}),
        LoginReport(method, LoginOutcome.FAILURE, HERE, {"name": "ann"}),
        # A password may have been typed in place of a name.
        LoginReport(method, LoginOutcome.FAILURE, HERE, {}),
    ]
    assert "secret" not in repr(reports)


def test_logins_that_are_slowed(reporting: Identities, reports: list[LoginReport]) -> None:
    for _ in range(4):
        with pytest.raises(IdentityError):
            reporting.log_in("eve", "wrong", HERE)
    with pytest.raises(RetryError):
        reporting.log_in("eve", "wrong", HERE)
    assert [one.outcome for one in reports] == [*[LoginOutcome.FAILURE] * 3, *[LoginOutcome.SLOWED] * 2]


def test_links(store: Store, reporting: Identities, reports: list[LoginReport]) -> None:
    store.people.remove("ann", BY, "", NOW)
    link = reporting.new_once()
    reporting.of_once(link, HERE)
    for text in (link, new_secret(Prefix.LINK), "nonsense"):
        with pytest.raises(IdentityError):
            reporting.of_once(text, HERE)
    assert [(one.method, one.outcome) for one in reports] == [
        (LoginMethod.LINK, LoginOutcome.SUCCESS),
        *[(LoginMethod.LINK, LoginOutcome.FAILURE)] * 3,
    ]
    assert "cgl_" not in repr(reports)


def test_tokens_and_sessions(store: Store, reporting: Identities, reports: list[LoginReport], clock: Clock) -> None:
    stored, token = reporting.new_token("ci", frozenset({Role.VIEWER}), None, NOW + DAY, BY, "")
    session = reporting.log_in("ann", GOOD, HERE)
    reporting.of_bearer(token, HERE)
    reporting.of_bearer(session, HERE)
    reports.clear()
    store.tokens.revoke(stored.id, BY, "", NOW)
    reporting.log_out(session)
    for text in (token, session, "nonsense"):
        with pytest.raises(IdentityError):
            reporting.of_bearer(text, HERE)
    # Of a stream that was open, nobody has tried anything.
    with pytest.raises(IdentityError):
        reporting.of_bearer(token)
    assert reports == [
        LoginReport(LoginMethod.TOKEN, LoginOutcome.FAILURE, HERE, {"token": stored.id, "name": "ci"}),
        LoginReport(LoginMethod.SESSION, LoginOutcome.FAILURE, HERE),
        LoginReport(LoginMethod.TOKEN, LoginOutcome.FAILURE, HERE),
    ]
    assert clock.now_us == NOW


def test_a_store_that_does_not_answer_is_no_failed_login(
    reporting: Identities, reports: list[LoginReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> int:
        raise StoreError("silent")

    monkeypatch.setattr(Attempts, "begin", silent)
    with pytest.raises(StoreError):
        reporting.log_in("ann", GOOD, HERE)
    assert reports == []
