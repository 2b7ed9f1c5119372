"""No secret in the log, the metrics, the list of processes, the admin audit, or the answers of failures."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from callgate._proto.callgate.admin.v1 import status_pb2
from callgate.identity.secret_text import Prefix, new_secret, secret_hash
from callgate.store.place import in_folder
from callgate.store.store import open_store
from support.admin import CallError, Client
from support.program import run
from support.setup import Setup, until
from support.site import Browser

TYPED = ("typed in the wrong field", "a wrong pass phrase", "correct horse battery", "too\u00a0short")
FILE_TOKEN = "f0e1d2c3b4a5968778695a4b3c2d1e0f"


class Scene:
    """A sidecar with people, tokens and a link, and all that it has answered to failures."""

    def __init__(self, stack: ExitStack, setup: Setup) -> None:
        setup.write("admin.token", FILE_TOKEN)
        setup.configure(grants=[], admin={"listen": "127.0.0.1:0", "token_file": "admin.token"})
        self.state = setup.folder / "state"
        self.secrets = [FILE_TOKEN, *TYPED]
        self.answers: list[str] = []
        self.running = stack.enter_context(setup.serving())
        self.admin = self.running.sidecar.admin
        self.client = stack.enter_context(httpx.Client(base_url=f"http://{self.admin}", timeout=60))
        self.browser = Browser(stack, self.admin)
        until(lambda: self.browser.get("/login").status_code == 200)

    def command(self, *words: str) -> str:
        """Runs a command of `callgate admin`; returns its output and its messages."""
        done = run("admin", *words, "--state", self.state)
        assert done.code == 0, done
        return done.out + done.err

    def secret(self, text: str) -> str:
        self.secrets.append(text)
        kind = next((prefix for prefix in Prefix if text.startswith(prefix.value)), None)
        if kind is not None and (digest := secret_hash(kind, text)) is not None:
            self.secrets.append(digest)
        return text

    def fails(self, answer: httpx.Response, *statuses: int) -> None:
        assert answer.status_code in (statuses or (400, 401, 403, 404, 409)), answer.text
        # The form of a log-in has the name that was typed again.
        self.answers += [re.sub(r'<input id="name"[^>]*>', "", answer.text), repr(answer.headers)]

    def ask(self, verb: str, path: str, token: str, document: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.request(verb, f"/admin/v1{path}", json=document, headers=headers)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    with ExitStack() as stack:
        scene = Scene(stack, Setup(tmp_path))
        link(scene)
        password = scene.secret(scene.command("people", "add", "ann", "--role", "admin", "--generate").splitlines()[0])
        wrong_logins(scene, password)
        assert scene.browser.log_in("ann", password).status_code == 303
        session = scene.secret(scene.browser.client.cookies["callgate"])
        token = scene.secret(
            re.findall(r"cga_\S+", scene.command("tokens", "create", "ci", "--role", "admin", "--expires", "1d"))[0]
        )
        wrong_tokens(scene)
        wrong_requests(scene, session, token)
        audit = scene.ask("GET", "/audit/records?page_size=1000", session)
        assert audit.status_code == 200
        processes = [path.read_bytes().decode() for path in Path("/proc").glob("[0-9]*/cmdline") if is_of(path, scene)]
        assert any("serve" in words for words in processes)
        metrics = scene.running.get("/metrics")
        status = scene.client.get("/v1/status", headers={"Authorization": f"Bearer {FILE_TOKEN}"}).text
        code, log = scene.running.sidecar.stop()
        assert code == 0
        store = open_store(in_folder(scene.state))
        stack.callback(store.close)
        records = [repr(record) for record in store.audit.page()]
    shown = {
        "log": log,
        "metrics": metrics,
        "status": status,
        "processes": "\n".join(processes),
        "audit": audit.text + "\n".join(records),
        "answers": "\n".join(scene.answers),
    }
    found = [(place, secret) for place, text in shown.items() for secret in scene.secrets if secret in text]
    assert found == []
    for event in ("login_failed", "token_refused"):
        assert f'"event": "{event}"' in log
    assert '"name": "ann"' in log
    assert 'callgate_logins_total{method="password",outcome="failure"} 3.0' in metrics
    assert 'callgate_logins_total{method="password",outcome="success"} 1.0' in metrics
    assert 'callgate_logins_total{method="link",outcome="failure"} 2.0' in metrics
    assert 'callgate_logins_total{method="link",outcome="success"} 1.0' in metrics
    for method, count in (("token", 4), ("session", 3), ("token_file", 1)):
        assert f'callgate_logins_total{{method="{method}",outcome="failure"}} {count}.0' in metrics


def is_of(path: Path, scene: Scene) -> bool:
    """True for the sidecar and whoever it has started."""
    process = scene.running.sidecar.process.pid
    try:
        stat = (path.parent / "stat").read_text()
    except OSError:
        return False
    return int(path.parent.name) == process or int(stat.rpartition(")")[2].split()[1]) == process


def link(scene: Scene) -> None:
    """A link that works, once, and one that is none."""
    once = scene.secret(re.findall(r"cgl_[\w-]+", scene.command("link"))[0])
    assert scene.browser.post("/login/once", {"once": once}).status_code == 303
    scene.secret(scene.browser.client.cookies["callgate"])
    scene.fails(scene.browser.post("/login/once", {"once": once}))
    scene.fails(scene.browser.post("/login/once", {"once": scene.secret(new_secret(Prefix.LINK))}))


def wrong_logins(scene: Scene, password: str) -> None:
    scene.browser.client.cookies.clear()
    scene.fails(scene.browser.log_in("ann", TYPED[1]))
    scene.fails(scene.browser.log_in(TYPED[0], TYPED[1]))
    scene.fails(scene.browser.log_in(password, "ann"))


def wrong_tokens(scene: Scene) -> None:
    shown = scene.command("tokens", "create", "old", "--role", "viewer", "--expires", "1d")
    revoked = scene.secret(re.findall(r"cga_\S+", shown)[0])
    scene.command("tokens", "revoke", re.findall(r"id (\S+),", shown)[0])
    unknown = scene.secret(new_secret(Prefix.MACHINE))
    gone = scene.secret(new_secret(Prefix.SESSION))
    for text in (revoked, unknown, gone):
        scene.fails(scene.ask("GET", "/servers", text), 401)
        client = Client(grpc_of(scene), text)
        with pytest.raises(CallError) as told:
            client(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse)
        client.close()
        assert told.value.code is grpc.StatusCode.UNAUTHENTICATED
        scene.answers += [str(told.value), repr(told.value.metadata)]
    scene.fails(scene.browser.get("/approvals", Cookie=f"callgate={gone}"), 303)
    scene.fails(scene.client.get("/v1/status", headers={"Authorization": f"Bearer {unknown}"}), 401)


def grpc_of(scene: Scene) -> str:
    done = run("status", "--state", scene.state, "--json")
    found = re.findall(r'"admin_grpc": {"listen": "(127[^"]+)"', done.out)
    assert found, done
    return str(found[0])


def wrong_requests(scene: Scene, session: str, token: str) -> None:
    """Requests with faults, that hold secrets."""
    person = {"name": "eve", "roles": ["ROLE_VIEWER"]}
    assert scene.ask("POST", "/people", session, {"person": person, "password": TYPED[2]}).status_code == 200
    for document in (
        {"person": person, "password": TYPED[2]},
        {"person": {**person, "name": "Eve 2"}, "password": TYPED[2]},
        {"person": {**person, "name": "eva"}, "password": TYPED[3]},
        {"person": {**person, "name": "eva"}, "pass_word": TYPED[2]},
        {"person": {**person, "password": TYPED[2], "name": "eva"}},
        {"person": {**person, "name": "eva"}, "password": [TYPED[2]]},
        {"person": TYPED[2]},
        TYPED[2],
    ):
        scene.fails(scene.ask("POST", "/people", session, document))
    made = scene.ask("POST", "/grants", token, {"grant": {"id": "g", "server": "s", "policy": "p"}}).json()
    if "token" in made:
        scene.secret(made["token"])
    else:
        scene.answers.append(str(made))
    scene.fails(scene.ask("POST", "/tokens", token, {"machine_token": {"name": "x"}}), 403)
    scene.fails(scene.client.get(f"/admin/v1/servers?token={token}", headers={"Authorization": f"Bearer {session}"}))
    scene.fails(scene.ask("GET", f"/grants/{token}", session), 404)
