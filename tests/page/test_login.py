"""Logging in at the admin port, and what other pages, previews and guessers get."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from prometheus_client import CollectorRegistry

from callgate.admin.site import Site
from callgate.control.port.address import BoundAddress
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.identity.identities import Identities
from callgate.store.model import Actor
from callgate.store.people import Role
from callgate.store.store import Store
from support.approvals import DAY, NOW
from support.site import GOOD, Browser, hidden_fields

HOME = "/approvals"


@pytest.fixture
def clear(store: Store, identities: Identities) -> Iterator[Browser]:
    """A port that others reach, without TLS."""
    pages = Pages(CollectorRegistry())
    pages.site = Site(store, identities, is_private=False)
    admin = AdminServer(BoundAddress("127.0.0.1:0"), pages)
    admin.start()
    with ExitStack() as stack:
        yield Browser(stack, admin.address)
    admin.stop()


@pytest.mark.usefixtures("people")
def test_a_person_logs_in_and_out(browser: Browser) -> None:
    first = browser.get("/")
    assert (first.status_code, first.headers["Location"]) == (303, HOME)
    asked = browser.get(HOME)
    assert (asked.status_code, asked.headers["Location"]) == (303, "/login?next=%2Fapprovals")
    done = browser.log_in()
    assert (done.status_code, done.headers["Location"]) == (303, HOME)
    cookie = done.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert "max-age" not in cookie
    shown = browser.get(HOME)
    assert (shown.status_code, "ann (local)" in shown.text) == (200, True)
    session = browser.client.cookies["callgate"]
    out = browser.send("/logout", HOME, {})
    assert (out.status_code, out.headers["Location"]) == (303, "/login")
    browser.client.cookies.set("callgate", session)
    assert browser.get(HOME).status_code == 303


@pytest.mark.usefixtures("people")
def test_a_wrong_password_is_told_nothing(browser: Browser) -> None:
    answers = [browser.log_in(name, "wrong wrong wrong") for name in ("ann", "nobody")]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert all("wrong name or password" in answer.text for answer in answers)
    assert not browser.client.cookies
    assert "wrong wrong" not in answers[0].text


@pytest.mark.usefixtures("people")
def test_what_was_typed_as_a_name_is_not_shown_again(browser: Browser) -> None:
    """A password is easily typed into the wrong field."""
    answers = [browser.log_in(GOOD, "ann") for _ in range(8)]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert all(GOOD not in answer.text for answer in answers)


@pytest.mark.usefixtures("people")
def test_guessing_is_slowed(browser: Browser) -> None:
    answers = [browser.log_in(password=f"guess number {number}") for number in range(15)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert "try again in" in refused[-1].text


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/x",
        "https://evil.example",
        "/\\evil.example",
        "/login",
        "javascript:alert(1)",
        "/approvals\r\nX: y",
    ],
)
@pytest.mark.usefixtures("people")
def test_a_login_leads_to_no_other_site(browser: Browser, target: str) -> None:
    assert browser.log_in(next=target).headers["Location"] == HOME


@pytest.mark.usefixtures("people")
def test_a_login_leads_to_the_page_that_was_asked_for(browser: Browser) -> None:
    location = browser.get("/approvals/abc?x=1").headers["Location"]
    target = hidden_fields(browser.get(location).text)["next"]
    assert browser.log_in(next=target).headers["Location"] == "/approvals/abc?x=1"


def test_a_link_works_once_and_a_preview_does_not_use_it_up(browser: Browser, identities: Identities) -> None:
    link = identities.new_once()
    for _ in range(3):
        page = browser.get(f"/login?once={link}")
        assert page.status_code == 200
        assert hidden_fields(page.text)["once"] == link
    done = browser.post("/login/once", {"once": link})
    assert (done.status_code, done.headers["Location"]) == (303, HOME)
    assert browser.get(HOME).status_code == 200
    browser.client.cookies.clear()
    again = browser.post("/login/once", {"once": link})
    assert (again.status_code, "does not work" in again.text) == (401, True)


def test_guessing_links_is_slowed(browser: Browser) -> None:
    statuses = {browser.post("/login/once", {"once": f"cgt_l_{number}"}).status_code for number in range(30)}
    assert statuses <= {401, 429}
    assert 429 in statuses


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
    ],
    ids=str,
)
def test_no_other_page_logs_somebody_in_or_out(browser: Browser, headers: dict[str, str]) -> None:
    refused = browser.post("/login", {"name": "ann", "password": GOOD}, **headers)
    assert (refused.status_code, "Set-Cookie" in refused.headers) == (403, False)
    browser.log_in()
    token = browser.fields(HOME)["form_token"]
    assert browser.post("/logout", {"form_token": token}, **headers).status_code == 403
    assert browser.get(HOME).status_code == 200


@pytest.mark.usefixtures("people")
def test_a_browser_that_sends_an_origin_alone_is_believed_if_it_is_this_port(browser: Browser) -> None:
    fields = {"name": "ann", "password": GOOD}
    for origin, status in [(browser.origin, 303), (f"{browser.origin}0", 403), ("null", 403), (None, 403)]:
        headers = {} if origin is None else {"Origin": origin}
        assert browser.client.post("/login", data=fields, headers=headers).status_code == status


@pytest.mark.usefixtures("people")
def test_a_form_without_the_token_of_its_login_changes_nothing(browser: Browser) -> None:
    browser.log_in()
    for fields in ({}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "é"}):
        assert browser.post("/logout", fields).status_code == 403
    assert browser.get(HOME).status_code == 200


@pytest.mark.usefixtures("people")
def test_another_name_for_this_machine_is_refused(browser: Browser) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        for path in ("/login", HOME, "/style.css", "/admin/v1/approvals"):
            assert browser.get(path, **headers).status_code == 403


@pytest.mark.usefixtures("people")
def test_pages_can_be_framed_by_nobody_and_have_no_script(browser: Browser) -> None:
    browser.log_in()
    for path in ("/login", HOME, "/approvals/none", "/style.css", "/admin/v1/none", "/login?once=x"):
        headers = browser.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert "script-src" not in policy
        assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
        text = browser.get(path).text
        assert "<script" not in text
        assert "style=" not in text


@pytest.mark.usefixtures("people")
def test_a_link_from_another_site_finds_the_login_that_there_is(browser: Browser) -> None:
    """A browser sends no strict cookie along such a link, so the page leads to itself."""
    browser.log_in()
    session = dict(browser.client.cookies)
    browser.client.cookies.clear()
    again = browser.get("/approvals/abc", **{"Sec-Fetch-Site": "cross-site"})
    assert (again.status_code, 'http-equiv="refresh"' in again.text) == (200, True)
    browser.client.cookies.update(session)
    assert browser.get("/approvals/abc", **{"Sec-Fetch-Site": "same-origin"}).status_code == 404


@pytest.mark.usefixtures("people")
def test_nobody_logs_in_where_others_read(clear: Browser) -> None:
    for answer in (clear.get("/login"), clear.log_in(), clear.post("/login/once", {"once": "x"})):
        assert (answer.status_code, "admin.tls" in answer.text) == (403, True)


@pytest.mark.usefixtures("people")
def test_machines_do_not_come_to_pages(browser: Browser, identities: Identities) -> None:
    until_us = NOW + DAY
    _, token = identities.new_token("ci", frozenset({Role.VIEWER}), None, until_us, Actor("root", "here"), "")
    assert browser.get(HOME, Authorization=f"Bearer {token}").status_code == 303


@pytest.mark.usefixtures("people")
def test_what_needs_no_login(browser: Browser) -> None:
    assert [browser.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200, 503, 200]
    assert browser.get("/approvals/x/y/z").status_code == 404
    assert browser.client.put("/login").status_code == 405


@pytest.mark.usefixtures("people")
def test_forms_have_bounds(browser: Browser) -> None:
    browser.log_in()
    many = {f"f{number}": "" for number in range(2_000)}
    assert browser.post("/logout", many).status_code == 400
    # Its length alone: the port closes the connection, and a client that still sends would not read the answer.
    connection = http.client.HTTPConnection(browser.origin.removeprefix("http://"), timeout=20)
    connection.putrequest("POST", "/logout")
    for name, value in {
        "Cookie": f"callgate={browser.client.cookies['callgate']}",
        "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": "300000",
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (413, "close")
    connection.close()
    other = {"Origin": "null", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
    assert browser.client.post("/logout", content=b"{}", headers=other).status_code == 415
    assert browser.post("/login", {"name": "a" * 2_000, "password": "b"}).status_code == 400


@pytest.mark.usefixtures("people")
def test_a_body_that_is_not_read_is_not_the_next_request(admin: AdminServer) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    connection = http.client.HTTPConnection(admin.address, timeout=20)
    connection.request("POST", "/approvals/x/approve", smuggled, {"Sec-Fetch-Site": "same-origin"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (401, "close")
    connection.close()


@pytest.mark.usefixtures("people")
def test_secrets_stay_out_of_pages(browser: Browser) -> None:
    answer: httpx.Response = browser.log_in()
    session = answer.cookies["callgate"]
    assert session not in browser.get(HOME).text
    assert GOOD not in browser.log_in(password="wrong wrong wrong").text
