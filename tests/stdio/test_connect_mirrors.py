"""Arguments that MCP 2026-07-28 has clients repeat in header fields, sent for a client that knows of no headers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support.gateway.clients import MODERN, PYTHON, TYPESCRIPT, Client, see
from support.gateway.environments import bare_environment
from support.gateway.running import gateway
from support.gateway.servers import Command, sdk_server
from support.stdio.scripted import event, leading, reply, serving
from support.stdio.wrapped import Talk, call, request

if TYPE_CHECKING:
    from pathlib import Path

EVERY_TOOL = {"version": "1", "name": "example", "default": "allow"}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "lines", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
REGIONS = ["eu-west-1", "Zürich", " ", "=?base64?x?=", "=?base64?x", "=?BASE64?eA==?="]


def modern(message: dict[str, Any]) -> dict[str, Any]:
    """The message in the version that has such fields."""
    message.setdefault("params", {})["_meta"] = {**META, "progressToken": 1}
    return message


def tool(name: str, **properties: str) -> dict[str, Any]:
    """A tool that has these properties mirrored in these fields."""
    annotated = {key: {"type": "string", "x-mcp-header": field} for key, field in properties.items()}
    return {"name": name, "inputSchema": {"type": "object", "properties": annotated}}


def params(fields: dict[str, str]) -> dict[str, str]:
    """The fields that mirror arguments."""
    return {name: value for name, value in fields.items() if name.startswith("mcp-param-")}


@pytest.mark.parametrize("client", [PYTHON, TYPESCRIPT], ids=lambda client: client.name)
@pytest.mark.parametrize("steps", [[{"do": "list"}], []], ids=["after a list", "without a list"])
def test_a_real_server_takes_the_calls(tmp_path: Path, client: Client, steps: list[dict[str, str]]) -> None:
    calls = [{"do": "call", "name": "regional", "arguments": {"region": region}} for region in REGIONS]
    with sdk_server() as server, gateway(tmp_path, {"s": server}, EVERY_TOOL) as running:
        command = Command(tuple(leading(running.url("s"))), bare_environment())
        saw = see(client, command, [*steps, *calls], version=MODERN)
    assert [step["text"] for step in saw.did[len(steps) :]] == [f"in {region}" for region in REGIONS]


@pytest.mark.parametrize("streams", [False, True])
def test_what_was_listed_is_mirrored(streams: bool) -> None:
    listed = [tool("move", region="Region"), tool("stay")]

    def script(_method: str, _fields: dict[str, str], message: Any) -> Any:
        result = {"tools": listed} if message["method"] == "tools/list" else {"content": []}
        answer = reply(message["id"], **result)
        return (200, "text/event-stream", event(answer), {}) if streams else (200, "application/json", answer, {})

    with serving(script) as (url, asked), Talk(leading(url)) as talk:
        talk.send(modern(call(1, "move", region="eu")))
        assert talk.reply()["id"] == 1
        talk.send(modern(request(2, "tools/list")))
        assert talk.reply()["result"]["tools"] == listed
        for number, message in enumerate(
            [
                modern(call(0, "move", region="é")),
                modern(call(0, "move", region=None)),
                modern(call(0, "move", region=["eu"])),
                modern(call(0, "stay", region="eu")),
                call(0, "move", region="eu"),
            ],
            start=3,
        ):
            talk.send({**message, "id": number})
            assert talk.reply()["id"] == number
        listed[:] = [tool("move", region="Zone")]
        talk.send(modern(request(10, "tools/list")))
        talk.reply()
        talk.send(modern(call(11, "move", region="eu")))
        talk.reply()
    assert [params(fields) for _, fields, message in asked if message["method"] == "tools/call"] == [
        {},
        {"mcp-param-region": "=?base64?w6k=?="},
        {},
        {},
        {},
        {},
        {"mcp-param-zone": "eu"},
    ]


def strict(message: Any, fields: dict[str, str], pages: dict[str | None, Any]) -> Any:
    """A server that asks for `mcp-param-region`, and lists its tools in pages."""
    if message["method"] == "tools/list":
        return 200, "application/json", reply(message["id"], **pages[message["params"].get("cursor")]), {}
    if fields.get("mcp-param-region") == message["params"]["arguments"]["region"]:
        return 200, "application/json", reply(message["id"], content=[]), {}
    error = {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32020, "message": "differs"}}
    return 400, "application/json", json.dumps(error).encode(), {}


def test_a_call_that_lacks_its_fields_is_sent_once_more_after_a_list() -> None:
    pages = {
        None: {"tools": [tool("stay")], "nextCursor": "2"},
        "2": {"tools": [tool("move", region="Region")], "nextCursor": "3"},
    }
    with (
        serving(lambda _method, fields, message: strict(message, fields, pages)) as (url, asked),
        Talk(leading(url)) as talk,
    ):
        message = modern(call("a", "move", region="eu"))
        talk.send(message)
        assert talk.reply() == {"jsonrpc": "2.0", "id": "a", "result": {"content": []}}
        talk.send(modern(call("b", "move", region="us")))
        assert talk.reply()["id"] == "b"
        talk.close()
        assert talk.rest() == [], "what was asked in between is nobody's"
    assert [seen["method"] for _, _, seen in asked] == [
        "tools/call",
        "tools/list",
        "tools/list",
        "tools/call",
        "tools/call",
    ]
    first, *lists, again, _ = asked
    assert first[2] == again[2] == message
    for _, fields, seen in lists:
        assert seen["params"]["_meta"] == META, "as the client itself would ask"
        assert (fields["mcp-protocol-version"], fields["mcp-method"]) == (MODERN, "tools/list")


@pytest.mark.parametrize("listed", [[], [tool("move")]], ids=["unknown", "not annotated"])
def test_a_call_is_not_sent_again_in_the_same_words(listed: list[Any]) -> None:
    with (
        serving(lambda _method, fields, message: strict(message, fields, {None: {"tools": listed}})) as (url, asked),
        Talk(leading(url)) as talk,
    ):
        talk.send(modern(call(1, "move", region="eu")))
        assert talk.reply()["error"] == {"code": -32020, "message": "differs"}
    assert [message["method"] for _, _, message in asked] == ["tools/call", "tools/list"]
