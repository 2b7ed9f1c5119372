"""A person who answers, with the real command, what a real MCP client has asked for on one of the ways."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from callgate.os_user import os_user
from callgate.store.model import State
from callgate.store.people import PersonEdit, Role
from callgate.store.place import in_folder
from callgate.store.store import open_store
from support.approvals import CALLER
from support.planes import wait_until
from support.ports import free_port
from support.program import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.proxies.ways import Agent, Way

RULE = "/tools/risky/approval"
UNAVAILABLE = "(approval store unavailable)"
ASKED = re.compile(
    r"`risky` needs the approval `([a-z2-7]{26})` of a person of the group `data`; "
    r"tell your user, and repeat exactly this call once it is given, before \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
)


def admits_one_call(way: Way, folder: Path, notes: Path, port: int) -> None:
    """A call is asked about, approved, made once and asked about anew; its client goes on in its session, also while
    the store is locked."""
    add_approver(folder / "state")
    with way.start(folder, notes, port) as agent, agent.session("legacy") as call:
        before = agent.done()
        if way.kind == "refused":
            wait_until(lambda: call("risky", n=1)["decision"]["rule"] == RULE)
        else:
            wait_until(lambda: rule_of(agent) == RULE)
        first = approval_of(way, agent, answered(call))
        assert agent.done() == before
        approve(agent.state, first)
        assert answered(call)["text"] == "did 1"
        assert agent.done() == [*before, "1"]
        second = approval_of(way, agent, answered(call))
        assert second != first

        with locked(agent.state):
            denied = call("risky", n=1)
            assert denied["kind"] == way.kind
            if way.kind == "refused":
                assert (denied["decision"]["outcome"], denied["decision"]["rule"]) == ("deny", UNAVAILABLE)
                assert "the store of approvals does not answer" in denied["text"]
            else:
                answer = agent.raw("risky", n=1)
                assert (answer.status, answer.headers["x-callgate-rule"]) == (way.status, UNAVAILABLE)
            assert call("open", n=5)["text"] == "opened 5"
        assert agent.done() == [*before, "1"]
        assert approval_of(way, agent, answered(call)) == second


def answered(call: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The client's view of the call. A call that found the store too slow is repeated; it used nothing."""
    seen: dict[str, Any] = {}
    for _ in range(10):
        seen = call("risky", n=1)
        if seen.get("decision", {}).get("rule") != UNAVAILABLE:
            break
    return seen


def gives_back(way: Way, folder: Path, *, comes_back: bool) -> None:
    """An approval is used for a call that cannot reach its server."""
    add_approver(folder / "state")
    with way.start(folder, folder, free_port()) as agent:
        wait_until(lambda: rule_of(agent) == RULE)
        answer = agent.raw("risky", n=1)
        approval = answer.body["result"]["_meta"]["callgate/decision"]["approval"]
        approve(agent.state, approval)
        agent.raw("risky", n=1)
        with closing(open_store(in_folder(agent.state))) as store:

            def state() -> State:
                return store.approvals.get(approval, time.time_ns() // 1_000).state

            if comes_back:
                # Once more, so that it was used in between.
                wait_until(lambda: state() is State.APPROVED)
                agent.raw("risky", n=1)
                wait_until(lambda: state() is State.APPROVED)
            else:
                assert state() is State.CONSUMED


def asks_nobody(way: Way, folder: Path, notes: Path, port: int) -> None:
    """A proxy that sends no arguments: nobody could read what they agree to."""
    with way.start(folder, notes, port) as agent, agent.session("auto") as call:
        before = agent.done()
        denied = call("risky", n=1)
        assert denied["kind"] == way.kind
        assert "the proxy in front does not send them here" in denied["text"]
        assert call("open", n=5)["text"] == "opened 5"
        assert agent.done() == before
        listed = run("approvals", "list", "--state", agent.state, "--json")
        assert (listed.code, json.loads(listed.out)["approvals"]) == (0, [])


def approval_of(way: Way, agent: Agent, seen: dict[str, Any]) -> str:
    """The approval that the call `risky` with `n=1` needs, of which the client was told in the form of its way."""
    assert seen["kind"] == way.kind, seen
    approval = approval_in(seen["text"], seen["decision"]) if way.kind == "refused" else None
    if way.status is None:
        assert approval is not None
        return approval
    answer = agent.raw("risky", n=1)
    assert answer.status == way.status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-callgate-outcome"] == "approval_required"
    assert answer.headers["x-callgate-rule"] == RULE
    assert "retry-after" not in answer.headers
    assert (answer.body["jsonrpc"], answer.body["id"]) == ("2.0", 7)
    result = answer.body["result"]
    assert result["isError"] is True
    by_http = approval_in(result["content"][0]["text"], result["_meta"]["callgate/decision"])
    # One call, one approval, in whichever session.
    assert approval in {by_http, None}
    return by_http


def rule_of(agent: Agent) -> str:
    """The rule by which the call is answered."""
    return agent.raw("risky", n=1).headers["x-callgate-rule"]


def approval_in(text: str, decision: dict[str, Any]) -> str:
    """The id that both name."""
    assert (decision["outcome"], decision["rule"]) == ("approval_required", RULE)
    found = ASKED.fullmatch(text)
    assert found is not None, text
    assert found[1] == decision["approval"]
    return found[1]


def add_approver(state: Path) -> None:
    """Makes the user of the tests the one person who may answer."""
    with closing(open_store(in_folder(state))) as store:
        edit = PersonEdit(os_user(), frozenset({Role.APPROVER}), frozenset({"data"}), "hash")
        store.people.put(edit, CALLER, "", time.time_ns() // 1_000)


def approve(state: Path, approval: str) -> None:
    """Approves at the command line, as the user who runs the tests."""
    done = run("approvals", "approve", approval, "--state", state, "--reason", "agreed")
    assert (done.code, done.out.startswith(f"approved: {approval}, `risky` at")) == (0, True), done


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Keeps the store locked for writing by another process."""
    with closing(sqlite3.connect(state / "callgate.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
