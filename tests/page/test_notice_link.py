"""Links of notices: they lead to a login, end with the approval, and may be bound to one person."""

from __future__ import annotations

import pytest

from callgate.identity.secret_text import new_id
from callgate.store.model import Person
from callgate.store.notices.model import NewNotice, NoticeEvent
from callgate.store.store import Store
from support.approvals import HOUR, NOW, waiting
from support.identities import Clock
from support.site import Browser


@pytest.fixture(autouse=True)
def _people(people: None) -> None:
    """Everybody who logs in here."""


def link(store: Store, person: Person | None = None) -> str:
    """The path of a link to a new approval."""
    store.notice_receivers.register({"mia": "digest"}, NOW)
    approval = waiting(store)
    notice = NewNotice(new_id(), NoticeEvent.REQUESTED, NOW, NOW + HOUR, person)
    store.notice_receivers.collect("mia", lambda *_: [notice], NOW)
    return f"/approvals/{approval}?notice={notice.id}"


def test_whoever_opens_a_link_logs_in_and_answers_as_themself(browser: Browser, store: Store) -> None:
    path = link(store)
    sent = browser.get(path)
    assert (sent.status_code, sent.headers["location"].partition("?")[0]) == (303, "/login")
    target = browser.fields(sent.headers["location"])["next"]
    assert target == path
    entered = browser.log_in("ann", next=target)
    assert entered.headers["location"] == path
    page = browser.get(path)
    assert page.status_code == 200
    approval = path.partition("?")[0]
    assert browser.send(f"{approval}/approve", path, {"reason": ""}).status_code == 303
    [given] = store.approvals.record(approval.rpartition("/")[2]).answers
    assert given.person.subject == "ann"


def test_a_link_is_for_one_person_alone(browser: Browser, store: Store) -> None:
    path = link(store, Person("local", "ann"))
    browser.log_in("adm")
    refused = browser.get(path)
    assert refused.status_code == 403
    assert "this link is for ann (local) alone, and you are logged in as adm (local)" in refused.text
    assert "/approve" not in refused.text
    browser.log_in("ann")
    assert browser.get(path).status_code == 200


def test_a_link_ends_with_its_approval(browser: Browser, store: Store, clock: Clock) -> None:
    path = link(store)
    browser.log_in()
    for wrong in (path[:-1], f"{path[:-1]}b", path.replace("notice=", "notice=%00"), path.partition("=")[0] + "="):
        refused = browser.get(wrong)
        assert refused.status_code == 410, wrong
        assert "this link has ended" in refused.text
    clock.now_us = NOW + HOUR
    browser.log_in()
    assert browser.get(path).status_code == 410
    # The page itself stays.
    assert browser.get(path.partition("?")[0]).status_code == 200
