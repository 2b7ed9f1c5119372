"""A person whom an issuer logs in: the way there and back, the roles and groups, and the end of the session."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from callgate.identity.errors import IdentityError
from callgate.identity.identities import Identities
from callgate.identity.reports import LoginReport
from callgate.store.model import Person, State, Waiting
from callgate.store.people import Role
from callgate.store.store import Store
from support.approvals import HOUR, NOW, SECOND, ask, need
from support.identities import Clock
from support.login.issuer import SECRET, FakeIssuer
from support.login.settings import Settings
from support.site import Browser

HOME = "/approvals"


def begin(browser: Browser, issuer: FakeIssuer, target: str = HOME, **more: str) -> dict[str, str]:
    """The answer of the issuer to a login that begins at the log-in page."""
    page = browser.get(f"/login?{urlencode({'next': target})}").text
    path = page.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert path.startswith("/login/issuer/")
    sent = browser.get(f"{path}{''.join(f'&{name}={value}' for name, value in more.items())}")
    assert sent.status_code == 303, sent.text
    assert sent.headers["Location"].startswith(f"{issuer.url}/authorize?")
    cookie = sent.headers["Set-Cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "path=/"))
    return issuer.begin(sent.headers["Location"]).answer


def come_back(browser: Browser, answer: dict[str, str]) -> httpx.Response:
    return browser.get(f"/login/callback?{urlencode(answer)}", **{"Sec-Fetch-Site": "cross-site"})


def log_in(browser: Browser, issuer: FakeIssuer, **claims: object) -> httpx.Response:
    issuer.claims |= claims
    return come_back(browser, begin(browser, issuer))


def pending(store: Store, fingerprint: str = "f", **more: object) -> str:
    needs = more.pop("needs", (need(),))
    [outcome] = store.approvals.ask([ask(fingerprint, *needs, **more)], NOW)  # type: ignore[misc]
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def test_a_person_logs_in_and_answers(browser: Browser, issuer: FakeIssuer, store: Store) -> None:
    approval = pending(store, needs=(need(approvers=("dba",)),))
    page = f"{HOME}/{approval}"
    back = come_back(browser, begin(browser, issuer, page))
    # This page leads to itself, so that the browser sends its strict cookie.
    assert (back.status_code, f'href="{page}"' in back.text) == (200, True)
    assert "callgate" in browser.client.cookies
    assert "callgate-login" not in browser.client.cookies
    assert f"Ann, ann ({issuer.url})" in browser.get(page).text
    assert browser.send(f"{page}/approve", page, {"reason": "fine"}).status_code == 303
    [given] = store.approvals.record(approval).answers
    assert (given.person, given.groups) == (Person(issuer.url, "ann"), ("dba",))
    recorded = [one.change for one in store.audit.page()]
    assert (recorded[-1].action, recorded[-1].by.name, recorded[-1].reason) == (
        *("log_in", f"ann ({issuer.url})", "as Ann"),
    )
    # The request for the token: PKCE, and no secret of a public client.
    fields = issuer.sent["fields"]
    assert (fields["client_id"], "client_secret" in fields) == ("callgate", False)
    assert browser.send("/logout", HOME, {}).status_code == 303
    assert browser.get(HOME).status_code == 303


@pytest.mark.usefixtures("issuer")
def test_the_request_has_what_protects_it(browser: Browser, settings: Settings) -> None:
    first, second = (_request(browser) for _ in range(2))
    assert {name: first[name] for name in ("response_type", "client_id", "scope", "code_challenge_method")} == {
        "response_type": ["code"],
        "client_id": ["callgate"],
        "scope": ["openid profile"],
        "code_challenge_method": ["S256"],
    }
    assert first["redirect_uri"] == [f"{settings.public_url}/login/callback"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) == 43
        assert first[name] != second[name]


def _request(browser: Browser) -> dict[str, list[str]]:
    page = browser.get("/login").text
    path = page.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    return parse_qs(urlsplit(browser.get(path).headers["Location"]).query)


def test_the_owner_of_a_grant_does_not_answer_for_it(browser: Browser, issuer: FakeIssuer, store: Store) -> None:
    own = pending(store, "a", owner=Person(issuer.url, "ann"))
    of_namesake = pending(store, "b", owner=Person("local", "ann"))
    of_others = pending(store, "c", needs=(need(approvers=("finance",)),))
    log_in(browser, issuer)
    for approval, words in [(own, "belongs to you"), (of_others, "people of other groups: `finance`")]:
        page = f"{HOME}/{approval}"
        refused = browser.send(f"{page}/approve", page, {})
        assert (refused.status_code, words in refused.text) == (403, True)
        assert store.approvals.get(approval, NOW).state is State.PENDING
    page = f"{HOME}/{of_namesake}"
    assert browser.send(f"{page}/approve", page, {}).status_code == 303


@pytest.mark.parametrize("takes_basic", [True, False])
def test_a_client_with_a_secret(browser: Browser, issuer: FakeIssuer, settings: Settings, *, takes_basic: bool) -> None:
    settings.secret = SECRET
    if not takes_basic:
        issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    assert log_in(browser, issuer).status_code == 200
    fields, headers = issuer.sent["fields"], issuer.sent["headers"]
    if takes_basic:
        pair = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
        assert pair == f"callgate:{SECRET.replace(' ', '+')}"
        assert "client_secret" not in fields
    else:
        assert fields["client_secret"] == SECRET
        assert "Authorization" not in headers


@pytest.mark.parametrize(
    ("groups", "roles", "approver_groups"),
    [
        (["dba", "admins"], {Role.APPROVER, Role.ADMIN}, {"dba", "admins"}),
        ("dba", {Role.APPROVER}, {"dba"}),
        (["dba", 7, "", "a\nb", "x" * 300], {Role.APPROVER}, {"dba"}),
    ],
    ids=["a list", "a text", "a list with nonsense"],
)
def test_groups_give_roles(
    browser: Browser,
    issuer: FakeIssuer,
    identities: Identities,
    groups: object,
    roles: set[Role],
    approver_groups: set[str],
) -> None:
    assert log_in(browser, issuer, groups=groups).status_code == 200
    principal = identities.of_session(browser.client.cookies["callgate"])
    assert (set(principal.roles), set(principal.groups)) == (roles, approver_groups)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"groups": None}, ["gives no claim `groups`", "`Ann`"]),
        ({"groups": []}, ["you are in no group there"]),
        ({"groups": ["cooks"]}, ["your groups there are `cooks`", "an administrator"]),
        ({"groups": {"dba": True}}, ["is no list of groups"]),
        ({"groups": [f"g{number}" for number in range(600)]}, ["600 groups"]),
    ],
    ids=["missing", "empty", "others", "an object", "too many"],
)
def test_who_has_no_role_is_told_why(
    browser: Browser,
    issuer: FakeIssuer,
    store: Store,
    reports: list[LoginReport],
    claims: dict[str, object],
    words: list[str],
) -> None:
    refused = log_in(browser, issuer, **claims)
    assert refused.status_code == 401
    assert all(word in refused.text for word in words), refused.text
    assert "callgate" not in browser.client.cookies
    assert reports[-1].outcome.value == "failure"
    assert reports[-1].fields["reason"] in {"no_role", "token_claims", "too_many_groups"}
    assert not store.audit.page()


def test_a_missing_claim_is_reported_where_everybody_has_a_role(
    browser: Browser, issuer: FakeIssuer, settings: Settings, reports: list[LoginReport], identities: Identities
) -> None:
    settings.login["roles"] = {"viewer": ["*"], "approver": ["dba"]}
    assert log_in(browser, issuer, groups=None).status_code == 200
    assert reports[-1].fields == {"person": f"ann ({issuer.url})", "missing_claim": "groups"}
    principal = identities.of_session(browser.client.cookies["callgate"])
    assert (set(principal.roles), set(principal.groups)) == ({Role.VIEWER}, set())


def test_groups_of_approvers_have_other_names(
    browser: Browser, issuer: FakeIssuer, settings: Settings, identities: Identities
) -> None:
    settings.login |= {
        "groups_claim": ["realm", "groups"],
        "approver_groups": {"dba": ["db-admins", "db-ops"], "ops": ["ops"]},
        "roles": {"approver": ["db-admins"]},
    }
    assert log_in(browser, issuer, realm={"groups": ["db-admins"]}, groups=["ops"]).status_code == 200
    assert identities.of_session(browser.client.cookies["callgate"]).groups == {"dba"}


def test_userinfo_is_asked_where_the_token_has_no_groups(
    browser: Browser, issuer: FakeIssuer, settings: Settings
) -> None:
    settings.login["userinfo"] = True
    assert log_in(browser, issuer).status_code == 200
    assert issuer.asked["/userinfo"] == 0
    issuer.userinfo = {"sub": "ann", "groups": ["dba"], "iss": "https://evil.example"}
    assert log_in(browser, issuer, groups=None).status_code == 200
    assert issuer.sent["userinfo"]["Authorization"] == "Bearer an-access-token"
    issuer.userinfo["sub"] = "ben"
    refused = log_in(browser, issuer)
    assert (refused.status_code, "another person" in refused.text) == (401, True)
    issuer.userinfo["sub"] = "ann"
    refused = log_in(browser, issuer, at_hash="AAAAAAAAAAAAAAAAAAAAAA")
    assert (refused.status_code, "at_hash" in refused.text) == (401, True)


def test_a_changed_configuration_changes_the_rights_at_once(
    browser: Browser, issuer: FakeIssuer, settings: Settings, identities: Identities
) -> None:
    log_in(browser, issuer)
    session = browser.client.cookies["callgate"]
    settings.login["roles"] = {"viewer": ["dba"]}
    assert identities.of_session(session).roles == {Role.VIEWER}
    settings.login["roles"] = {"admin": ["admins"]}
    with pytest.raises(IdentityError, match="no role here any more"):
        identities.of_session(session)
    settings.is_configured = False
    assert browser.get(HOME).status_code == 303


def test_sessions_end(browser: Browser, issuer: FakeIssuer, identities: Identities, clock: Clock) -> None:
    log_in(browser, issuer)
    session = browser.client.cookies["callgate"]
    began = clock.now_us
    for hours in range(12):
        clock.now_us = began + hours * HOUR
        assert identities.of_session(session).person == Person(issuer.url, "ann")
        clock.now_us += HOUR // 2
        identities.of_session(session)
    clock.now_us = began + 12 * HOUR
    with pytest.raises(IdentityError):
        identities.of_session(session)
    log_in(browser, issuer)
    session = browser.client.cookies["callgate"]
    clock.now_us += HOUR + SECOND
    with pytest.raises(IdentityError):
        identities.of_session(session)


def test_a_login_is_asked_for_anew(browser: Browser, issuer: FakeIssuer, clock: Clock) -> None:
    now_s = clock() // SECOND
    for authenticated_s, status in [(now_s - 20, 200), (now_s - 1_000, 401), (None, 401)]:
        issuer.claims["auth_time"] = authenticated_s
        answer = begin(browser, issuer, fresh="1")
        assert come_back(browser, answer).status_code == status
    issuer.claims["auth_time"] = now_s - 1_000
    assert come_back(browser, begin(browser, issuer)).status_code == 200


def test_a_login_begins_under_the_name_that_the_issuer_knows(
    browser: Browser, issuer: FakeIssuer, settings: Settings
) -> None:
    page = browser.get("/login").text
    path = page.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    other = browser.origin.removeprefix("http://").replace("127.0.0.1", "localhost")
    sent = browser.get(path, Host=other)
    assert sent.headers["Location"] == f"{settings.public_url}{path}"
    assert issuer.asked == {}


def test_a_login_at_an_issuer_leads_to_no_other_site(browser: Browser, issuer: FakeIssuer) -> None:
    back = come_back(browser, begin(browser, issuer, "https://evil.example"))
    assert 'href="/approvals"' in back.text
    assert "evil.example" not in back.text
