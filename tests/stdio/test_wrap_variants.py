"""A wrapped server whose lists differ by client."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support.gateway.clients import PYTHON, PYTHON_1, see
from support.gateway.servers import Command, everything_command
from support.program import ENVIRONMENT
from support.stdio.pinning import listed, pin, rule
from support.stdio.wrapped import ALLOW, Talk, request, script, wrapping

if TYPE_CHECKING:
    from pathlib import Path

LIST = [{"do": "list"}]
ANSWERS = {"sampling": "yes", "elicitation": {"action": "decline"}}
MODERN = "2026-07-28"

SERVER = """
import json, sys
declared = {}
for line in sys.stdin:
    message = json.loads(line)
    params = message.get("params", {})
    names = params.get("_meta", {}).get("io.modelcontextprotocol/clientCapabilities", declared)
    if message["method"] == "initialize":
        declared = params["capabilities"]
        about = {"name": "s", "version": "1"}
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {}, "serverInfo": about}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ["plain", *names]]}
    else:
        result = {"content": [], "isError": False}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


def command(folder: Path) -> list[str]:
    """The command that wraps the server."""
    return wrapping(folder, script(SERVER), "--state", folder / "state", policy=ALLOW)


def begin(talk: Talk, *names: str) -> Talk:
    """A client that declares these."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {name: {} for name in names}}
    talk.send(request("begin", "initialize", **params, clientInfo={"name": "c", "version": "1"}))
    assert "result" in talk.reply()
    return talk


def said(*names: str) -> dict[str, Any]:
    """The parameters of a request that describe a client without a handshake."""
    prefix = "io.modelcontextprotocol/"
    return {"_meta": {prefix + "protocolVersion": MODERN, prefix + "clientCapabilities": {name: {} for name in names}}}


def test_a_first_list_for_each_kind_of_clients(tmp_path: Path) -> None:
    with Talk(command(tmp_path)) as talk:
        assert listed(begin(talk)) == ["plain"]
        assert rule(talk, "roots") == "(tool changed)"
        talk.close()
        assert talk.code() == 0
    with Talk(command(tmp_path)) as talk:
        assert listed(begin(talk, "roots")) == ["plain", "roots"]
        assert rule(talk, "roots") == ""
        # Requests may speak for themselves.
        assert listed(talk, **said("roots", "sampling")) == ["plain", "roots", "sampling"]
        talk.close()
        assert talk.code() == 0
    shown = [line.split()[1] for line in pin(tmp_path, "variants", "srv").splitlines()]
    assert shown == ["unknown", "2025-11-25", "2025-11-25+roots", f"{MODERN}+roots+sampling"]


def test_no_time_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "CALLGATE_PINNING__FIRST_LISTS", "0s")
    words = command(tmp_path)
    with Talk(words) as talk:
        assert listed(begin(talk)) == ["plain"]
        talk.close()
        assert talk.code() == 0
    with Talk(words) as talk:
        assert listed(begin(talk, "roots")) == ["plain"]
        assert rule(talk, "roots") == "(tool changed)"
        talk.close()
        assert talk.code() == 0
    assert "accepted roots" in pin(tmp_path, "accept", "srv", "--variant", "2025-11-25+roots")
    with Talk(words) as talk:
        assert listed(begin(talk, "roots")) == ["plain", "roots"]


def test_a_real_server_and_real_clients(tmp_path: Path) -> None:
    """The client that declares nothing comes first."""
    server = everything_command()
    few, more = (
        set(see(one, server, LIST, answers=answers).did[0]) for one, answers in [(PYTHON_1, {}), (PYTHON, ANSWERS)]
    )
    assert len(more - few) >= 2
    words = wrapping(tmp_path, server.words, "--state", tmp_path / "state", policy=ALLOW)
    wrapped = Command(tuple(words), server.environment)
    assert set(see(PYTHON_1, wrapped, LIST).did[0]) == few
    assert set(see(PYTHON, wrapped, LIST, answers=ANSWERS).did[0]) == more
    assert json.loads(pin(tmp_path, "list", "--json"))[0]["first_lists_until"] is not None
