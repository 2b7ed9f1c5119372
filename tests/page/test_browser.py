"""The pages in a real browser, and what pages of others can do there."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from callgate.control.port.http import AdminServer
from callgate.identity.identities import Identities
from callgate.store.model import State, Waiting
from callgate.store.store import Store
from support.approvals import NOW, ask, need
from support.chromium import Chromium, chromium
from support.http_server import Handler, serving
from support.site import GOOD


def pending(store: Store, fingerprint: str) -> str:
    arguments = json.dumps({"path": "\u202egnp.exe"})
    [outcome] = store.approvals.ask([ask(fingerprint, need(), evidence_arguments=arguments)], NOW)
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def state(store: Store, approval: str) -> State:
    return store.approvals.get(approval, NOW).state


def log_in(browser: Chromium, url: str) -> None:
    browser.go(f"{url}/approvals")
    browser.until("location.pathname === '/login'")
    browser.run(f"document.querySelector('#name').value = 'ann'; document.querySelector('#password').value = '{GOOD}'")
    browser.leave("document.querySelector('form.fields button').click()")
    browser.until("location.pathname === '/approvals' && document.readyState === 'complete'")


@pytest.mark.usefixtures("people")
def test_a_person_answers_and_no_other_page_does(admin: AdminServer, store: Store, tmp_path: Path) -> None:
    url = f"http://{admin.address}"
    own, others = pending(store, "a"), pending(store, "b")
    sent = f"<form method=post action='{url}/approvals/{others}/approve'><input name=reason value=x></form>"
    evil = {
        "/submit": f"<body>{sent}<script>document.forms[0].submit()</script>",
        "/frame": f"<body><iframe src='{url}/approvals/{others}'></iframe>",
        "/link": f"<body><a id=link href='{url}/approvals/{others}'>look</a>",
        "/fetch": (
            f"<body><script>fetch('{url}/approvals', {{credentials: 'include'}})"
            ".then(a => a.text()).then(t => {document.title = 'read'}, () => {document.title = 'refused'})</script>"
        ),
    }

    class Evil(Handler):
        def do_GET(self) -> None:
            self.answer(200, "text/html", evil.get(self.path, ""))

    with ExitStack() as stack:
        # To a browser, another port of this machine is the same site.
        same_site = f"http://127.0.0.1:{stack.enter_context(serving(Evil))}"
        cross_site = same_site.replace("127.0.0.1", "localhost")
        browser = stack.enter_context(chromium(tmp_path / "profile"))
        log_in(browser, url)
        assert "ann (local)" in browser.text

        browser.leave(f"document.querySelector('a[href=\"/approvals/{own}\"]').click()")
        browser.until(f"location.pathname === '/approvals/{own}' && document.readyState === 'complete'")
        assert "\\u202egnp.exe" in browser.text
        # The style sheet is in force: nothing of the page is blocked by its own policy.
        assert browser.run("getComputedStyle(document.querySelector('pre')).unicodeBidi") == "bidi-override"
        browser.leave("document.querySelector('button.approve').click()")
        browser.until("document.body.innerText.includes('approved until')")
        assert state(store, own) is State.APPROVED

        for site in (same_site, cross_site):
            browser.go(f"{site}/submit")
            browser.until(f"location.origin === '{url}' && document.readyState === 'complete'")
            assert "Approve this call once" not in browser.text
            browser.go(f"{site}/fetch")
            browser.until("document.title === 'refused'")
            browser.go(f"{site}/frame")
            browser.until("frames.length === 1")
            tree = browser.ask("Page.getFrameTree")["frameTree"]
            shown = [child["frame"]["url"] for child in tree.get("childFrames", [])]
            assert [one for one in shown if not one.startswith("chrome-error:")] == []
            assert state(store, others) is State.PENDING
            # A link is no attack: whoever follows it is still logged in.
            browser.go(f"{site}/link")
            browser.leave("document.querySelector('#link').click()")
            browser.until("document.body.innerText.includes('Approve this call once')")


def test_a_link_logs_in_by_its_button(admin: AdminServer, identities: Identities, tmp_path: Path) -> None:
    url = f"http://{admin.address}"
    with chromium(tmp_path / "profile") as browser:
        browser.go(f"{url}/login?once={identities.new_once()}")
        browser.leave("document.querySelector('main button').click()")
        browser.until("location.pathname === '/approvals' && document.readyState === 'complete'")
        assert "Log out" in browser.text
        browser.leave("document.querySelector('header button').click()")
        browser.until("location.pathname === '/login'")
