"""`callgate admin`."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path

import pytest
from typer.main import get_command

from callgate.cli import app
from callgate.identity.identities import Identities
from callgate.os_user import os_user
from callgate.store.errors import UnknownIdError
from callgate.store.model import Actor
from callgate.store.people import Role
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store
from callgate.store.tokens import Scope
from support.planes import wait_until
from support.program import ENVIRONMENT, PROGRAM, Done, refused, run, sidecar

ME = Actor(f"{os_user()} (local)", f"command line at {socket.gethostname()}")
GOOD = "correct horse battery"


def store_of(state: Path) -> Store:
    return open_store(in_folder(state))


def people(state: Path, *words: str | Path) -> Done:
    return run("admin", "people", *words, "--state", state)


def add(state: Path, name: str, *words: str) -> str:
    """Adds a person with a password that is made; gives the password."""
    done = people(state, "add", name, *words, "--generate")
    assert done.code == 0, done
    return done.out.strip()


def logs_in(state: Path, name: str, password: str) -> bool:
    store = store_of(state)
    found = store.people.password_hash(name)
    identities = Identities(store)
    is_right = found is not None and identities.passwords.verify(found[1], password)
    store.close()
    return is_right


def test_a_person_from_first_to_last(state: Path) -> None:
    password = add(state, "ann", "--role", "approver", "--group", "dba", "--group", "ops", "--reason", "new here")
    assert logs_in(state, "ann", password)
    add(state, "root.admin", "--role", "admin")
    assert people(state, "list").out.splitlines() == ["ann         approver  groups dba, ops", "root.admin  admin"]
    [ann, _] = json.loads(people(state, "list", "--json").out)
    assert (ann["roles"], ann["groups"], ann["is_active"]) == (["approver"], ["dba", "ops"], True)
    shown = people(state, "show", "ann").out.splitlines()
    assert shown[:4] == ["name:         ann", "roles:        approver", "groups:       dba, ops", "is active:    yes"]
    assert json.loads(people(state, "show", "ann", "--json").out) == ann
    done = people(state, "set-roles", "ann", "--role", "viewer", "--role", "approver", "--reason", "new job")
    assert done.out == "changed: ann, approver, viewer, groups dba, ops\n"
    assert people(state, "set-roles", "ann", "--no-groups").out == "changed: ann, approver, viewer\n"
    assert people(state, "set-roles", "ann", "--group", "dba").out == "changed: ann, approver, viewer, groups dba\n"
    done = people(state, "deactivate", "ann", "--reason", "on leave")
    assert done.out == "changed: ann, approver, viewer, groups dba, not active\n"
    assert people(state, "activate", "ann").out == "changed: ann, approver, viewer, groups dba\n"
    assert logs_in(state, "ann", password)
    assert people(state, "remove", "ann", "--reason", "has left").out == "removed: ann\n"
    store = store_of(state)
    with pytest.raises(UnknownIdError):
        store.people.get("ann")
    records = [one.change for one in store.audit.page(kind="people", object_id="ann")][::-1]
    store.close()
    assert [(one.action, one.reason) for one in records] == [
        ("create", "new here"),
        ("change", "new job"),
        ("change", ""),
        ("change", ""),
        ("change", "on leave"),
        ("change", ""),
        ("delete", "has left"),
    ]
    assert {one.by for one in records} == {ME}
    assert all(one.digest_after == after.digest_before for one, after in pairwise(records))


def test_a_password_from_a_file(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{GOOD}\n")
    done = people(state, "add", "ann", "--role", "viewer", "--password-file", file)
    assert (done.code, done.out) == (0, "added: ann, viewer\n")
    assert logs_in(state, "ann", GOOD)
    file.write_text("another good password")
    done = people(state, "set-password", "ann", "--password-file", file)
    assert done.out == "set the password of `ann`, and ended its sessions\n"
    assert logs_in(state, "ann", "another good password")
    made = people(state, "set-password", "ann", "--generate").out.strip()
    assert logs_in(state, "ann", made)


def test_a_password_that_is_typed(state: Path) -> None:
    """A password is typed twice, and not shown."""
    controller, terminal = pty.openpty()
    words = [str(PROGRAM), "admin", "people", "add", "ann", "--role", "viewer", "--state", str(state)]
    process = subprocess.Popen(
        words, stdin=terminal, stdout=terminal, stderr=terminal, env=ENVIRONMENT, start_new_session=True
    )
    os.close(terminal)
    shown = b""
    try:
        for _ in range(2):
            while not shown.endswith(b": "):
                shown += os.read(controller, 1_024)
            os.write(controller, f"{GOOD}\n".encode())
            shown += os.read(controller, 1_024)
        while b"added: ann" not in shown:
            shown += os.read(controller, 1_024)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(controller)
    assert GOOD.encode() not in shown
    assert logs_in(state, "ann", GOOD)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"short", "expected a password of 12 to 256 characters, got 5"),
        (b"\xff\xfe", "holds no password: expected one line of UTF-8 text"),
        (b"two lines of\na password", "expected a password of printable characters"),
        (None, "cannot read `.*/password`: no such file or directory"),
    ],
)
def test_a_file_without_a_password(state: Path, tmp_path: Path, content: bytes | None, expected: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    line = refused("admin", "people", "add", "a", "--role", "viewer", "--password-file", file, "--state", state)
    assert re.search(expected, line), line


@pytest.mark.parametrize(("mode", "is_told"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_password_that_others_can_read(state: Path, tmp_path: Path, mode: int, is_told: bool) -> None:
    file = tmp_path / "password"
    file.write_text("correct horse battery\n")
    file.chmod(mode)
    done = people(state, "add", "ann", "--role", "admin", "--password-file", str(file))
    assert done.code == 0
    assert (f"warning: other users may read the password `{file}`; chmod 600 it" in done.err) is is_told
    again = people(state, "set-password", "ann", "--password-file", str(file))
    assert ("warning" in again.err) is is_told


def test_without_a_terminal(state: Path) -> None:
    line = refused("admin", "people", "add", "ann", "--role", "viewer", "--state", state)
    assert line == "nobody is there to type a password: give --password-file FILE, or --generate to have one made"


def test_no_option_takes_a_secret() -> None:
    admin = get_command(app).commands["admin"]  # type: ignore[attr-defined]
    options = {
        option
        for group in admin.commands.values()
        for command in getattr(group, "commands", {"": group}).values()
        for parameter in command.params
        for option in parameter.opts
    }
    assert {option for option in options if "pass" in option or "secret" in option or "hash" in option} == {
        "--password-file"
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["add", "a b", "--role", "viewer"], "expected a name of 1 to 64 letters"),
        (["add", "ann"], "expected at least one: viewer, approver, policy_manager or admin"),
        (["add", "ann", "--role", "aprover"], "unknown role `aprover`; did you mean `approver`?"),
        (["add", "ann", "--role", "viewer", "--group", ""], "expected at most 100 groups"),
        (["add", "ann", "--role", "viewer", "--generate", "--password-file", "f"], "give a file or let one be made"),
    ],
)
def test_people_that_cannot_be_added(state: Path, words: list[str], expected: str) -> None:
    done = people(state, *words)
    assert (done.code, done.out) == (2, "")
    assert expected in " ".join(done.err.split())


def test_what_cannot_be_changed(state: Path) -> None:
    assert refused("admin", "people", "list", "--state", state).startswith(f"there is no store `{state}/callgate.db`")
    add(state, "ann", "--role", "viewer")
    for words in (["show"], ["deactivate"], ["remove"], ["set-roles", "--role", "admin"], ["set-password"]):
        line = refused("admin", "people", words[0], "bob", *words[1:], "--state", state)
        assert line == "there is no person `bob`"
    line = refused("admin", "people", "add", "Ann", "--role", "viewer", "--generate", "--state", state)
    assert "differs from it only by its case" in line
    line = refused("admin", "people", "add", "ann", "--role", "viewer", "--generate", "--state", state)
    assert line == "there is a person `ann` already"
    assert people(state, "set-roles", "ann").code == 2
    assert people(state, "set-roles", "ann", "--group", "a", "--no-groups").code == 2


def test_what_follows_is_said(state: Path) -> None:
    done = people(state, "add", "ann", "--role", "approver", "--generate")
    assert "warning: nobody who is active is an admin" in done.err
    assert f"note: you, `{os_user()}`, are none of the active people" in done.err
    done = people(state, "add", os_user(), "--role", "admin", "--generate")
    assert "warning" not in done.err
    assert "note" not in done.err
    assert "warning: nobody who is active is an admin" in people(state, "deactivate", os_user()).err
    people(state, "remove", "ann")
    assert "there are no people now" in people(state, "remove", os_user()).err


def tokens(state: Path, *words: str) -> Done:
    return run("admin", "tokens", *words, "--state", state)


def test_a_token_from_first_to_last(state: Path) -> None:
    made = tokens(state, "create", "ci", "--role", "viewer", "--scope", "status", "--expires", "30d", "--reason", "why")
    text = made.out.strip()
    assert text.startswith("cga_")
    assert made.err.startswith("the token, which is shown here and nowhere else:\nid ")
    store = store_of(state)
    who = Identities(store).of_token(text)
    assert (who.roles, who.scopes) == (frozenset({Role.VIEWER}), frozenset({Scope.STATUS}))
    document = json.loads(tokens(state, "create", "cd", "--role", "admin", "--expires", "1h", "--json").out)
    assert Identities(store).of_token(document["token"]).scopes is None
    listed = tokens(state, "list").out
    assert [line.split()[1:4] for line in listed.splitlines()] == [["cd", "admin", "every"], ["ci", "viewer", "status"]]
    assert "expires 20" in listed
    [_, ci] = json.loads(tokens(state, "list", "--json").out)
    assert (ci["name"], ci["revoked"], ci["made_by"]) == ("ci", None, ME.name)
    done = tokens(state, "revoke", ci["id"], "--reason", "lost")
    assert done.out == f"revoked: ci ({ci['id']})\n"
    assert f"{ci['id']}  ci  viewer  status      revoked 20" in tokens(state, "list").out
    assert "is revoked, so that it cannot be revoked again" in refused(
        "admin", "tokens", "revoke", ci["id"], "--state", state
    )
    records = [one.change for one in store.audit.page(kind="tokens", object_id=ci["id"])][::-1]
    store.close()
    assert [(one.by, one.action, one.reason) for one in records] == [(ME, "create", "why"), (ME, "revoke", "lost")]
    assert text not in f"{listed} {made.err} {records}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--role", "approver"], "approvals are answered by people, never by a machine"),
        ([], "expected at least one: viewer, policy_manager or admin"),
        (["--role", "viewer", "--scope", "people"], "unknown area `people`"),
        (["--role", "viewer", "--expires", "400d"], "expected an end within a year from now"),
        (["--role", "viewer", "--expires", "2020-01-01T00:00:00Z"], "expected an end within a year from now"),
        (["--role", "viewer", "--expires", "soon"], "expected a duration such as `30d`"),
    ],
)
def test_tokens_that_cannot_be(state: Path, words: list[str], expected: str) -> None:
    expires = [] if "--expires" in words else ["--expires", "30d"]
    done = tokens(state, "create", "ci", *words, *expires)
    assert (done.code, done.out) == (2, "")
    assert expected in " ".join(done.err.split())


@contextmanager
def sidecar_at(state: Path, address: str, *, has_tls: bool) -> Iterator[None]:
    """A control socket that tells of an admin port."""
    document = json.dumps({"admin": address, "admin_tls": has_tls}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/v1/status"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(document)

        def address_string(self) -> str:
            return "a socket"

    (state / "control.sock").unlink(missing_ok=True)
    with socketserver.UnixStreamServer(str(state / "control.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_one_time_link(state: Path, tmp_path: Path) -> None:
    store_of(state).close()
    with sidecar_at(state, "127.0.0.1:19593", has_tls=False):
        done = run("admin", "link", "--state", state)
    assert done.code == 0, done
    begin, token = done.out.strip().split("=")
    assert begin == "http://127.0.0.1:19593/login?once"
    store = store_of(state)
    who = Identities(store).of_session(Identities(store).of_once(token, "127.0.0.1"))
    store.close()
    assert who.name == ME.name
    # The address in the configuration is not that of the sidecar if an option or a variable names another.
    (tmp_path / "callgate.yaml").write_text(f"servers: {{s: {{}}}}\nstate: {state}\nadmin: {{listen: '[::1]:4'}}\n")
    with sidecar_at(state, "[::1]:19593", has_tls=True):
        done = run("admin", "link", "--config", tmp_path / "callgate.yaml")
    assert done.out.startswith("https://[::1]:19593/login?once=cgl_")
    done = run("admin", "link", "--url", "https://localhost:9000/", "--state", state)
    assert done.out.startswith("https://localhost:9000/login?once=cgl_")
    for url in ("http://example.com:1", "http://0.0.0.0:9193", "file:///x", "http://127.0.0.1:0", "http://[", ""):
        done = run("admin", "link", "--url", url, "--state", state)
        assert (done.code, done.out) == (2, "")
        assert "on loopback" in " ".join(done.err.split())
    add(state, "ann", "--role", "admin")
    with sidecar_at(state, "127.0.0.1:19593", has_tls=False):
        assert "there are no one-time links" in refused("admin", "link", "--state", state)


@pytest.mark.parametrize("address", ["0.0.0.0:9193", "[::]:9193", "192.0.2.2:9193"])
def test_no_link_to_a_port_that_others_reach(state: Path, address: str) -> None:
    store_of(state).close()
    with sidecar_at(state, address, has_tls=True):
        line = refused("admin", "link", "--state", state)
    assert line.startswith(f"the sidecar's admin port `{address}` is not on loopback")
    assert "`callgate admin people add NAME --role admin`" in line


def test_no_link_without_a_sidecar(state: Path) -> None:
    """Another process on the usual port would receive the link's secret."""
    store_of(state).close()
    assert f"no sidecar runs with the state folder `{state}`" in refused("admin", "link", "--state", state)


def test_a_one_time_link_leads_to_the_sidecar_that_runs(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text('{"version": "1", "default": "deny"}')
    with sidecar("--policy", tmp_path / "policy.json", "--state", tmp_path / "state") as running:
        wait_until(lambda: run("admin", "link", "--state", tmp_path / "state").code == 0)
        done = run("admin", "link", "--state", tmp_path / "state")
        assert done.out.startswith(f"http://{running.admin}/login?once=cgl_")


def test_help_names_every_role() -> None:
    done = run("admin", "people", "add", "-h")
    assert ", ".join(role.value for role in list(Role)[:-1]) + " or admin" in " ".join(done.out.split())
