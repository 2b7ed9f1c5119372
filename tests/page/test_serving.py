"""The pages of a running `callgate serve`."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from callgate import clock
from callgate.identity.passwords import Passwords
from callgate.store.model import Actor, Waiting
from callgate.store.people import PersonEdit, Role
from callgate.store.place import in_folder
from callgate.store.store import open_store
from support.approvals import ask
from support.program import ENVIRONMENT, PROGRAM, sidecar
from support.setup import Setup, until
from support.site import GOOD, Browser


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    setup = Setup(tmp_path)
    setup.configure()
    return setup


def test_a_person_answers(setup: Setup, passwords: Passwords) -> None:
    with ExitStack() as stack, setup.serving() as running:
        browser = Browser(stack, running.sidecar.admin)
        until(lambda: browser.get("/login").status_code == 200)
        store = open_store(in_folder(setup.folder / "state"))
        stack.callback(store.close)
        edit = PersonEdit("ann", frozenset({Role.APPROVER}), frozenset(), passwords.hash(GOOD))
        store.people.put(edit, Actor("root", "here"), "", 1)
        now_us = clock.now_us()
        [outcome] = store.approvals.ask([ask()], now_us)
        assert isinstance(outcome, Waiting)
        page = f"/approvals/{outcome.approval_id}"
        assert browser.log_in().status_code == 303
        assert browser.send(f"{page}/deny", page, {"reason": "no"}).status_code == 303
        assert store.approvals.get(outcome.approval_id, now_us).state.value == "denied"
        log = running.stop()
    assert "ann" not in str(log)


def test_until_the_store_is_open_the_pages_say_so(setup: Setup) -> None:
    (setup.folder / "state").mkdir(mode=0o700)
    (setup.folder / "state" / "callgate.db").write_text("no database at all, but long enough to be taken for one" * 99)
    with setup.serving() as running, httpx.Client(base_url=f"http://{running.sidecar.admin}") as client:
        answer = client.get("/approvals")
        assert (answer.status_code, "the store is not open" in answer.text) == (503, True)
        assert client.get("/readyz").status_code == 200


def test_a_terminal_shows_a_link_that_logs_in_once(setup: Setup) -> None:
    main, terminal = pty.openpty()
    words: list[str | Path] = ["serve", "--config", setup.file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    process = subprocess.Popen([PROGRAM, *words], stdout=terminal, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    try:
        shown = b""
        while not (found := re.search(rb"log in: +http://([^/]+)/login[?]once=(\S+)", shown)):
            shown += os.read(main, 4_096)
        address, once = found[1].decode(), found[2].decode()
        with ExitStack() as stack:
            browser = Browser(stack, address)
            assert browser.get(f"/login?once={once}").status_code == 200
            assert browser.post("/login/once", {"once": once}).status_code == 303
            assert browser.get("/approvals").status_code == 200
            assert browser.post("/login/once", {"once": once}).status_code == 401
    finally:
        process.kill()
        process.wait()
        os.close(main)
        os.close(terminal)


def test_no_link_is_written_where_output_is_kept(setup: Setup) -> None:
    with ExitStack() as stack, sidecar("--config", setup.file, "--grace", "1") as running:
        browser = Browser(stack, running.admin)
        until(lambda: browser.get("/login").status_code == 200)
        code, err = running.stop()
        assert code == 0
        assert "once=" not in err + "".join(running.greeting)
