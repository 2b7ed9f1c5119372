"""Streams and sessions that are open when a freeze, a revocation or the end of a permit comes: all replicas obey."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

import httpx
import pytest

from callgate import Call
from support.planes import wait_until
from support.replicas import Replica
from support.scenes import Scene, Stage

TIMEOUT_S = 30.0
Open = Callable[[], str]
"""Makes a call on the open stream; returns the rule of its decision."""


@contextmanager
def stream(one: Replica, token: str, server: str, tool: str) -> Iterator[Open]:
    """A stream of calls, with the next call after each answer."""
    calls: SimpleQueue[Call | None] = SimpleQueue()
    decisions = one.client.check_stream(iter(calls.get, None))

    def rule() -> str:
        calls.put({"grant_token": token, "server": server, "tool": tool, "args": {"n": 1, "what": "x"}})
        return next(decisions).rule

    yield rule
    calls.put(None)
    assert list(decisions) == []


@contextmanager
def session(one: Replica, token: str, server: str, tool: str) -> Iterator[Open]:
    """A session of MCP over streamable HTTP, on one connection."""
    headers = {"accept": "application/json, text/event-stream", "authorization": f"Bearer {token}"}
    with httpx.Client(headers=headers, timeout=TIMEOUT_S) as client:

        def ask(method: str, **params: Any) -> dict[str, Any]:
            message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            answer = client.post(f"http://{one.running.address}/mcp/{server}", json=message)
            if answer.headers.get("mcp-session-id"):
                client.headers["mcp-session-id"] = answer.headers["mcp-session-id"]
            document: dict[str, Any] = answer.json() if answer.content else {}
            return {"status": answer.status_code, **document}

        info = {"name": "c", "version": "1"}
        ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=info)

        def rule() -> str:
            try:
                reply = ask("tools/call", name=tool, arguments={"n": 1, "what": "x"})
            except httpx.RemoteProtocolError:
                # The answer to a call that was allowed ends with its caller's right, too.
                return "cut"
            if reply["status"] != 200:
                # A caller whom nobody knows any more has no session either.
                return f"HTTP {reply['status']}"
            told = reply["result"].get("_meta", {}).get("callgate/decision", {})
            return str(told.get("rule", ""))

        yield rule


DOORS = [stream, session]


def freeze(scene: Scene) -> None:
    scene.stage.change("freezes", freeze={"grant": scene.grant, "reason": "stop"})


def revoke(scene: Scene) -> None:
    scene.stage.change(f"grants/{scene.grant}:revoke", reason="lost")


def obey(opened: list[Open], expected: set[str]) -> None:
    for each in opened:
        wait_until(partial(lambda each: each() in expected, each))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("change", "expected"),
    [(freeze, {"(frozen)"}), (revoke, {"(grant revoked)", "HTTP 401", "HTTP 403"})],
    ids=["freeze", "revoke"],
)
def test_changes_over_the_admin_api(
    theatre: Stage, door: Any, change: Callable[[Scene], None], expected: set[str]
) -> None:
    scene = theatre.scene()
    with ExitStack() as stack:
        opened = [stack.enter_context(door(each, scene.token, "pinned", "calm")) for each in theatre.replicas]
        assert {each() for each in opened} == {""}
        change(scene)
        obey(opened, expected)


@pytest.mark.parametrize("door", DOORS)
def test_a_grant_that_is_revoked_in_the_files(theatre: Stage, door: Any) -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(door(each, theatre.filed, "pinned", "calm")) for each in theatre.replicas]
        assert {each() for each in opened} == {""}
        rewrite(theatre, revoked=True)
        obey(opened, {"(grant revoked)", "HTTP 401", "HTTP 403"})
        rewrite(theatre, revoked=False)
        obey(opened, {""})


def rewrite(theatre: Stage, *, revoked: bool) -> None:
    """Writes the grant into the files of all replicas."""
    for each in theatre.replicas:
        file, new = each.folder / "callgate.json", each.folder / "new"
        document = json.loads(file.read_text())
        document["grants"][0]["revoked"] = revoked
        new.write_text(json.dumps(document))
        new.rename(file)


@pytest.mark.parametrize("door", DOORS)
def test_a_permit_that_is_ended(theatre: Stage, door: Any) -> None:
    """The first call after its end asks anew: a permit is looked up for each."""
    pins = door is session
    scene = theatre.scene("many")
    server, tool = ("pinned", f"pin{scene.number}") if pins else (scene.server, "many")
    with ExitStack() as stack:
        opened = [stack.enter_context(door(each, scene.token, server, tool)) for each in theatre.replicas]
        rule = f"/tools/{'pin*' if pins else 'many'}/approval"
        assert {each() for each in opened} == {rule}
        [waiting] = theatre.store.approvals.page(0, grant=scene.grant).items
        offer = {"max_uses": 3, "duration": "600s"}
        answered = httpx.post(
            f"http://{theatre.asking.running.admin}/admin/v1/approvals/{waiting.id}:approve",
            json={"permit": offer},
            headers={"Authorization": f"Bearer {theatre.session('ann')}"},
            timeout=TIMEOUT_S,
        )
        assert answered.status_code == 200, answered.text
        assert {each() for each in opened} == {""}
        theatre.change(f"permits/{answered.json()['permit']}:end", reason="enough")
        assert {each() for each in opened} == {rule}
