"""A real client over pipes, `callgate connect`, and a real server over HTTP; beside the client over HTTP itself."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from support.gateway.running import gateway
from support.program import ENVIRONMENT, PROGRAM, refused
from support.proxies.mcp import mcp_client, mcp_server
from support.stdio.scripted import event, leading, reply, serving
from support.stdio.wrapped import PATIENCE_S, Talk, call, client, request

if TYPE_CHECKING:
    from pathlib import Path

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("open", {"n": 3}),
    ("capped", {}),
    ("small", {"n": 11}),
    ("small", {"n": "x"}),
    ("nosuch", {}),
]


@pytest.mark.parametrize("further", [(), ("json",)])
@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_sees_what_it_would_see_over_http(mode: str, stateless: bool, further: tuple[str, ...]) -> None:
    with mcp_server("/mcp", *further, stateless=stateless) as port:
        url = f"http://127.0.0.1:{port}/mcp"
        directly = mcp_client(url, CALLS, mode=mode)
        led, _ = client(leading(url), CALLS, mode, looks="tools")
    assert led["version"] == directly["version"] == ("2026-07-28" if mode == "auto" else "2025-11-25")
    assert sorted(tool["name"] for tool in led["tools"]) == directly["tools"]
    assert led["seen"] == directly["seen"]
    assert led["together"] == [["done", f"opened {n}"] for n in range(20)]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_behind_the_gateway_calls_are_judged(tmp_path: Path, mode: str) -> None:
    token = tmp_path / "token"
    token.write_text("cgt_alice\n")
    calls: list[tuple[str, dict[str, Any]]] = [("open", {"n": 3}), ("small", {"n": 11}), *[("capped", {})] * 3]
    with (
        mcp_server("/mcp", stateless=False) as port,
        gateway(tmp_path, {"aws": f"http://127.0.0.1:{port}/mcp"}, grants={"alice": "aws"}) as running,
    ):
        seen, _ = client(leading(running.url("aws"), "--token-file", str(token)), calls, mode, looks="tools")
        with Talk(leading(running.url("aws"))) as talk:
            talk.send(call(1, "open"))
            stranger = talk.reply()
    opened, small, first, second, capped = seen["seen"]
    assert [opened, first, second] == [["done", "opened 3"], ["done", "done"], ["done", "done"]]
    assert small == ["refused", "too many"]
    assert capped[0] == "refused"
    assert "try again in" in capped[1]
    assert seen["together"] == [["done", f"opened {n}"] for n in range(20)]
    assert (stranger["id"], stranger["error"]["code"]) == (1, 401)


def test_a_session_is_kept_and_ended() -> None:
    def script(method: str, _fields: dict[str, str], message: Any) -> Any:
        if method == "GET":
            return 405, "", b"", {}
        if method == "DELETE":
            return 204, "", b"", {}
        if message["method"] == "initialize":
            # White space in JSON, which a line cannot have.
            text = json.dumps(json.loads(reply(1, protocolVersion="2025-06-18")), indent=2).encode()
            return 200, "application/json; charset=utf-8", text, {"mcp-session-id": "s-1"}
        if "id" not in message:
            return 202, "", b"", {}
        return 200, "text/event-stream", event(reply(message["id"], done=True), "event: message"), {}

    with serving(script) as (url, asked), Talk(leading(url, "--header", "x-team: a")) as talk:
        talk.send(request(1, "initialize"), {"jsonrpc": "2.0", "method": "notifications/initialized"}, call(2, "open"))
        assert talk.reply()["result"]["protocolVersion"] == "2025-06-18"
        assert talk.reply() == {"jsonrpc": "2.0", "id": 2, "result": {"done": True}}
        talk.send({"jsonrpc": "2.0", "id": 7, "result": {}})
        talk.close()
        assert talk.rest() == []
        assert talk.code() == 0
    posts = [(fields, message) for method, fields, message in asked if method == "POST"]
    assert [message.get("method", "response") for _, message in posts] == [
        "initialize",
        "notifications/initialized",
        "tools/call",
        "response",
    ]
    for fields, message in posts:
        assert fields["x-team"] == "a"
        assert fields["accept"] == "application/json, text/event-stream"
        if message.get("method") != "initialize":
            assert (fields["mcp-session-id"], fields["mcp-protocol-version"]) == ("s-1", "2025-06-18")
    assert [method for method, _, _ in asked if method == "GET"] == ["GET"]
    ended = [fields for method, fields, _ in asked if method == "DELETE"]
    assert [fields["mcp-session-id"] for fields in ended] == ["s-1"]


def test_messages_of_new_versions_are_mirrored() -> None:
    message = call(1, "dröp")
    message["params"]["_meta"] = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    with (
        serving(lambda *asked: (200, "application/json", reply(asked[2]["id"]), {})) as (url, asked),
        Talk(leading(url)) as talk,
    ):
        talk.send(message)
        assert talk.reply()["id"] == 1
    [(_, fields, seen)] = asked
    assert seen == message
    assert (fields["mcp-protocol-version"], fields["mcp-method"]) == ("2026-07-28", "tools/call")
    assert fields["mcp-name"] == "=?base64?ZHLDtnA=?="


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_refusals_of_http_are_errors_under_the_request_s_id(status: int) -> None:
    with serving(lambda *_: (status, "text/html", b"<p>no</p>", {})) as (url, _), Talk(leading(url)) as talk:
        talk.send(call("a", "open"), {"jsonrpc": "2.0", "method": "notifications/x"}, call(2, "open"))
        for _ in range(2):
            error = talk.reply()
            assert error["id"] in {"a", 2}
            assert error["error"]["code"] == status
        talk.close()
        assert talk.rest() == []


def test_an_error_that_the_server_words_is_passed_on() -> None:
    error = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32020, "message": "differs"}}
    answer: Any = (400, "application/json", json.dumps(error).encode(), {})
    with serving(lambda *_: answer) as (url, _), Talk(leading(url)) as talk:
        talk.send(call(1, "open"))
        assert talk.reply() == error


@pytest.mark.parametrize(
    ("kind", "body"), [("text/html", b"<p>hi</p>"), ("application/json", b" "), ("text/event-stream", b": hi\n\n")]
)
def test_what_is_no_reply_is_an_error(kind: str, body: bytes) -> None:
    with serving(lambda *_: (200, kind, body, {})) as (url, _), Talk(leading(url)) as talk:
        talk.send(call(1, "open"))
        assert talk.reply()["error"]["code"] == 502


def test_a_server_that_is_not_there_is_an_error() -> None:
    with Talk(leading("http://127.0.0.1:1/mcp")) as talk:
        talk.send(call(1, "open"), call(2, "open"))
        errors = [talk.reply(), talk.reply()]
        assert {error["id"] for error in errors} == {1, 2}
        assert all("cannot be reached" in error["error"]["message"] for error in errors)


def test_a_stream_that_breaks_goes_on_where_it_broke() -> None:
    def script(method: str, fields: dict[str, str], _message: Any) -> Any:
        if method == "POST":
            return 200, "text/event-stream", b"id: 1\nretry: 10\ndata:\n\n", {}
        if fields["last-event-id"] == "1":
            progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
            return 200, "text/event-stream", event(json.dumps(progress).encode(), "id: 2"), {}
        return 200, "text/event-stream", event(reply(1, at=fields["last-event-id"]), "id: 3"), {}

    with serving(script) as (url, asked), Talk(leading(url)) as talk:
        talk.send(call(1, "open"))
        assert talk.reply()["method"] == "notifications/progress"
        assert talk.reply() == {"jsonrpc": "2.0", "id": 1, "result": {"at": "2"}}
        assert [method for method, _, _ in asked] == ["POST", "GET", "GET"]


def test_a_call_that_is_cancelled_is_not_waited_for() -> None:
    release: list[bool] = []

    def script(_method: str, _fields: dict[str, str], message: Any) -> Any:
        while message.get("id") == 1 and not release:
            time.sleep(0.01)
        return 200, "application/json", reply(message["id"]), {}

    meta = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}
    with serving(script) as (url, asked), Talk(leading(url)) as talk:
        slow = call(1, "open")
        slow["params"].update(meta)
        talk.send(slow)
        while not asked:
            time.sleep(0.01)
        talk.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        talk.send(call(2, "open"))
        assert talk.reply()["id"] == 2
        release.append(True)
        talk.close()
        assert talk.rest() == []
        assert talk.code() == 0
    assert [message.get("id") for _, _, message in asked] == [1, 2], "closing says it, and nothing else"


def test_large_results_come_as_they_are() -> None:
    content = "x" * (20 << 20)
    answer: Any = (200, "application/json", reply(1, content=content), {})
    with serving(lambda *_: answer) as (url, _), Talk(leading(url)) as talk:
        talk.send(call(1, "open"))
        assert talk.reply()["result"]["content"] == content


def test_the_token_is_sent_and_shown_to_nobody(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("cgt_secret\n")
    with serving(lambda *asked: (200, "application/json", reply(asked[2]["id"]), {})) as (url, asked):
        with Talk(leading(url, "--token-file", str(token))) as talk:
            talk.send(call(1, "open"))
            assert talk.reply()["id"] == 1
        with Talk(leading(url), {"CALLGATE_TOKEN": "cgt_other"}) as talk:
            talk.send(call(1, "open"))
            assert talk.reply()["id"] == 1
    assert [fields["authorization"] for _, fields, _ in asked] == ["Bearer cgt_secret", "Bearer cgt_other"]


def test_signals_end_it() -> None:
    with serving(lambda *_: (202, "", b"", {})) as (url, _), Talk(leading(url)) as talk:
        talk.send({"jsonrpc": "2.0", "id": 1, "method": 5})
        assert talk.reply()["error"]["code"] == -32600, "it is there"
        talk.process.send_signal(signal.SIGTERM)
        assert talk.code() == 143


def test_signals_end_it_while_it_waits_for_the_last_reply() -> None:
    arrived, let_go = Event(), Event()

    def late(*asked: Any) -> tuple[int, str, bytes, dict[str, str]]:
        arrived.set()
        let_go.wait(PATIENCE_S)
        return 200, "application/json", reply(asked[2]["id"]), {}

    with serving(late) as (url, _), Talk(leading(url)) as talk:
        talk.send(call(1, "open"))
        assert arrived.wait(PATIENCE_S)
        assert talk.process.stdin is not None
        talk.process.stdin.close()
        # The end of its input comes before the signal.
        time.sleep(0.5)
        talk.process.send_signal(signal.SIGTERM)
        code = talk.code()
        let_go.set()
        assert code == 143


def test_wrong_use(tmp_path: Path) -> None:
    assert "expected a URL" in refused("connect", "nowhere")
    assert "no such file" in refused("connect", "https://x/mcp", "--ca", tmp_path / "none.pem")
    words = [str(PROGRAM), "connect", "http://127.0.0.1:1", "--header", "x"]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "NAME:VALUE" in done.stderr
