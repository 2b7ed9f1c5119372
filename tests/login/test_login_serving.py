"""A sidecar whose configuration has an issuer, passkeys and two people for policies."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

from callgate.store.place import in_folder
from callgate.store.store import open_store
from support.login.issuer import FakeIssuer, fake_issuer
from support.login.settings import ROLES
from support.ports import free_port
from support.setup import Setup, policy, until
from support.site import Browser

SECRET = "a-secret-of-the-client"


def log_in(browser: Browser, issuer: FakeIssuer) -> int:
    page = browser.get("/login?next=%2Fapprovals").text
    path = page.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    answer = issuer.begin(browser.get(path).headers["Location"]).answer
    return browser.get(f"/login/callback?{urlencode(answer)}", **{"Sec-Fetch-Site": "cross-site"}).status_code


def test_a_sidecar_logs_people_in_and_asks_for_passkeys(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    port = free_port()
    asking = policy(ask={"action": "require_approval"})
    setup.write("p.json", asking)
    setup.write("secret", SECRET)
    tools = {"ask": {"category": "Financial", "risk": "low"}, "t": {"category": "Read", "risk": "low"}}
    setup.write("catalogue.json", {"version": "1", "servers": {"s": {"tools": tools}}})
    with ExitStack() as stack:
        issuer = stack.enter_context(fake_issuer())
        login = {"issuer": issuer.url, "client_id": "callgate", "client_secret_file": "secret", "roles": ROLES}
        setup.configure(
            catalogue="catalogue.json",
            admin={
                "listen": f"127.0.0.1:{port}",
                "public_url": f"http://localhost:{port}",
                "login": login,
                "step_up": {"categories": ["Financial"]},
                "four_eyes": ["policies"],
            },
        )
        running = stack.enter_context(setup.serving("--admin", f"127.0.0.1:{port}"))
        browser = Browser(stack, f"localhost:{port}")
        until(lambda: browser.get("/login").status_code == 200)
        assert log_in(browser, issuer) == 200
        pair = issuer.sent["headers"]["Authorization"]
        status, decision = running.ask(grant="g", server="s", tool="ask")
        assert (status, decision["outcome"]) == (403, "approval_required"), decision
        approval = decision["approval"]
        text = browser.get(f"/approvals/{approval}").text
        assert "Approving takes a passkey, and you have registered none." in text
        page = f"/approvals/{approval}"
        assert browser.send(f"{page}/approve", page, {}).status_code == 403
        assert browser.get("/passkeys").status_code == 200

        # A new secret is used without a restart.
        with running.reload():
            setup.write("secret", f"{SECRET}-2")
        browser.client.cookies.clear()
        assert log_in(browser, issuer) == 200
        assert issuer.sent["headers"]["Authorization"] != pair

        issuer.claims["aud"] = "another"
        browser.client.cookies.clear()
        assert log_in(browser, issuer) == 401
        metrics = running.get("/metrics")
        assert 'callgate_logins_total{method="issuer",outcome="success"} 2.0' in metrics
        assert 'callgate_logins_total{method="issuer",outcome="failure"} 1.0' in metrics
        log = running.stop()
    [failed] = [line for line in log if line["event"] == "login_failed"]
    assert (failed["method"], failed["reason"], failed["source"]) == ("issuer", "token_audience", "127.0.0.1")
    assert SECRET not in str(log)
    store = open_store(in_folder(tmp_path / "state"))
    [logged_in, _] = [one.change for one in store.audit.page() if one.change.action == "log_in"]
    assert logged_in.object_id == f"ann ({issuer.url})"
    store.close()
