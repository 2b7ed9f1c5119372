"""The page of an approval: what people see, and what their answers do."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from threading import Event

import httpx
import pytest

from callgate.admin.site import Site
from callgate.control.port.pages import Pages
from callgate.identity.identities import Identities
from callgate.store.model import PermitBounds, Person, State, Waiting
from callgate.store.store import Store
from support.approvals import DAY, HOUR, NOW, ask, need
from support.evidence import evidence
from support.identities import Clock
from support.site import TIMEOUT_S, Browser

BIDI = "\u202e"
ARGUMENTS = {"region": "eu", "count": 3, "note": f"a{BIDI}b\u200b<script>alert(1)</script>"}
BOUNDS = PermitBounds(max_uses=5, max_duration_us=HOUR)


def pending(store: Store, fingerprint: str = "f", **more: object) -> str:
    fields = {"arguments": ARGUMENTS, "evidence_arguments": json.dumps(ARGUMENTS), "evidence": evidence(), **more}
    needs = fields.pop("needs", (need(),))
    [outcome] = store.approvals.ask([ask(fingerprint, *needs, **fields)], NOW)  # type: ignore[misc]
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def state(store: Store, approval: str) -> State:
    return store.approvals.get(approval, NOW).state


@pytest.fixture(autouse=True)
def _people(people: None) -> None:
    """Everybody who logs in here."""


def test_the_list_leads_to_each(browser: Browser, store: Store) -> None:
    ids = [pending(store, f"f{number}", tool=f"tool-{number}") for number in range(3)]
    browser.log_in("vic")
    text = browser.get("/approvals").text
    assert all(f'href="/approvals/{one}"' in text for one in ids)
    assert all(f"tool-{number}" in text for number in range(3))


def test_the_list_has_pages(browser: Browser, store: Store) -> None:
    ids = {pending(store, f"f{number}", grant=f"g{number}") for number in range(130)}
    browser.log_in()
    seen: set[str] = set()
    path = "/approvals"
    while path:
        text = browser.get(path).text
        seen |= {one for one in ids if one in text}
        older = text.partition('<p><a href="')[2].partition('"')[0]
        path = unescape(older) if older.startswith("/approvals?") else ""
    assert seen == ids
    assert browser.get("/approvals?page=nonsense").status_code == 400


def test_evidence_is_in_full_and_nothing_is_hidden(browser: Browser, store: Store) -> None:
    approval = pending(store)
    browser.log_in("vic")
    text = browser.get(f"/approvals/{approval}").text
    assert BIDI not in text
    assert "\u200b" not in text
    assert "<script" not in text
    shown = unescape(text)
    assert "\\u202e" in shown
    assert "<script>alert(1)</script>" in shown
    assert '"region": "eu"' in shown
    assert "Makes an image." in shown
    # A viewer sees no buttons.
    assert "/approve" not in text
    assert "answers take the role" in text


@pytest.mark.parametrize(("action", "then"), [("approve", State.APPROVED), ("deny", State.DENIED)])
def test_an_answer(browser: Browser, store: Store, action: str, then: State) -> None:
    approval = pending(store)
    browser.log_in()
    page = f"/approvals/{approval}"
    done = browser.send(f"{page}/{action}", page, {"reason": " because <b>I</b> say so "})
    assert (done.status_code, done.headers["Location"]) == (303, page)
    assert state(store, approval) is then
    [given] = store.approvals.record(approval).answers
    assert (given.person, given.groups, given.reason, given.source) == (
        *(Person("local", "ann"), ("dba",)),
        *("because <b>I</b> say so", "127.0.0.1"),
    )
    after = browser.get(page).text
    assert then.value in after
    assert "<b>" not in after
    assert f"{page}/approve" not in after
    again = browser.send(f"{page}/approve", page, {})
    assert (again.status_code, f"is {then.value}" in again.text) == (409, True)


def test_who_may_not_answer_changes_nothing(browser: Browser, store: Store) -> None:
    of_others = pending(store, "a", needs=(need(approvers=("finance",)),))
    own = pending(store, "b", owner=Person("local", "ann"))
    browser.log_in()
    for approval, words in [(of_others, "people of other groups: `finance`"), (own, "belongs to you")]:
        page = f"/approvals/{approval}"
        assert words in browser.get(page).text
        refused = browser.send(f"{page}/approve", page, {})
        assert (refused.status_code, words in refused.text) == (403, True)
        assert state(store, approval) is State.PENDING
    browser.client.cookies.clear()
    browser.log_in("vic")
    assert browser.send(f"/approvals/{own}/deny", f"/approvals/{own}", {}).status_code == 403


def test_a_store_that_hangs_holds_up_no_probe(
    browser: Browser, store: Store, pages: Pages, identities: Identities, clock: Clock
) -> None:
    """The owner of a grant of the store is read from it."""
    asked, answered = Event(), Event()

    def hanging(_grant: str) -> None:
        asked.set()
        answered.wait(TIMEOUT_S)

    pages.site = Site(store, identities, is_private=True, clock_us=clock, owner_of=hanging)
    approval = pending(store)
    browser.log_in()
    with ThreadPoolExecutor(1) as threads:
        shown = threads.submit(browser.get, f"/approvals/{approval}")
        assert asked.wait(TIMEOUT_S)
        try:
            assert httpx.get(f"{browser.origin}/healthz", timeout=TIMEOUT_S / 2).status_code == 200
        finally:
            answered.set()
        assert shown.result().status_code == 200


def test_a_needed_reason(browser: Browser, store: Store) -> None:
    approval = pending(store, needs=(need(reason_required=True),))
    browser.log_in()
    page = f"/approvals/{approval}"
    refused = browser.send(f"{page}/approve", page, {"reason": "  "})
    assert (refused.status_code, "needs a reason" in refused.text) == (422, True)
    assert browser.send(f"{page}/approve", page, {"reason": "maintenance"}).status_code == 303


def test_no_other_page_answers(browser: Browser, store: Store) -> None:
    approval = pending(store)
    browser.log_in()
    page = f"/approvals/{approval}"
    fields = {"form_token": browser.fields(page)["form_token"]}
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:1"},
    ):
        assert browser.post(f"{page}/approve", fields, **headers).status_code == 403
    assert browser.post(f"{page}/approve", {}).status_code == 403
    assert browser.get(f"{page}/approve").status_code == 405
    browser.client.cookies.clear()
    assert browser.post(f"{page}/approve", fields).status_code == 401
    assert state(store, approval) is State.PENDING


def test_a_permit(browser: Browser, store: Store) -> None:
    approval = pending(store, needs=(need(permit=BOUNDS),))
    browser.log_in()
    page = f"/approvals/{approval}"
    hidden = browser.fields(page)
    names = {json.loads(hidden[f"name.{number}"]): number for number in range(3)}
    assert set(names) == set(ARGUMENTS)
    kinds = {"region": ("one_of", '["eu", "us"]'), "count": ("at_most", "10"), "note": ("any", "")}
    fields = {"uses": "3", "minutes": "30", "reason": "a migration"}
    for name, (kind, value) in kinds.items():
        number = names[name]
        fields |= {f"name.{number}": json.dumps(name), f"kind.{number}": kind, f"value.{number}": value}
    for wrong, words in [
        ({"uses": "6"}, "1 to 5 uses"),
        ({"minutes": "61"}, "at most 3600 s"),
        ({"uses": "x"}, "expected a whole number"),
        ({f"value.{names['count']}": "2"}, "is 3 in the approved call"),
        ({f"value.{names['count']}": "{"}, "is no JSON"),
        ({f"value.{names['region']}": '["us"]'}, "do not contain that of the approved call"),
        ({f"name.{names['note']}": '"region"', f"kind.{names['note']}": "any"}, "a rule looks at"),
        ({f"kind.{names['note']}": "all"}, "did not offer"),
    ]:
        refused = browser.send(f"{page}/permit", page, {**fields, **wrong})
        assert (refused.status_code, words in unescape(refused.text)) == (422, True), (wrong, refused.text)
    assert state(store, approval) is State.PENDING
    done = browser.send(f"{page}/permit", page, fields)
    assert done.status_code == 303, done.text
    assert state(store, approval) is State.CONSUMED
    [permit] = store.permits.page(NOW).items
    assert (permit.max_uses, permit.ends_us - permit.made_us) == (3, HOUR // 2)
    assert json.loads(permit.terms) == {
        "region": {"one_of": ["eu", "us"]},
        "count": {"at_most": [0, 10]},
        "note": {"any": True},
    }


def test_without_bounds_there_is_no_permit_form(browser: Browser, store: Store) -> None:
    approval = pending(store)
    browser.log_in()
    page = f"/approvals/{approval}"
    assert "/permit" not in browser.get(page).text
    refused = browser.send(f"{page}/permit", page, {"uses": "1", "minutes": "1"})
    assert (refused.status_code, "lets nobody make a permit" in refused.text) == (422, True)


def test_what_is_over_or_unknown(browser: Browser, store: Store) -> None:
    approval = pending(store)
    browser.log_in()
    unknown = browser.get("/approvals/zzzz")
    assert (unknown.status_code, "there is no approval" in unknown.text) == (404, True)
    store.approvals.expire_due(NOW + 2 * HOUR)
    text = browser.get(f"/approvals/{approval}").text
    assert "expired" in text
    assert f"/approvals/{approval}/approve" not in text


def test_deleted_arguments_are_said(browser: Browser, store: Store) -> None:
    approval = pending(store)
    browser.log_in()
    browser.send(f"/approvals/{approval}/deny", f"/approvals/{approval}", {})
    store.approvals.expire_due(NOW + 2 * HOUR)
    store.approvals.forget(NOW + 40 * DAY, keep_arguments_us=30 * DAY, keep_us=700 * DAY)
    assert "their time is over" in browser.get(f"/approvals/{approval}").text
