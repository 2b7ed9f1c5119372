"""Sessions that a server ends while its client, over pipes, knows of none; and servers behind certificates."""

from __future__ import annotations

import json
import ssl
import time
from threading import Lock
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from support.gateway.environments import PROGRAMS, SDK, needed, own_environment
from support.gateway.servers import listening
from support.ports import free_port
from support.stdio.scripted import event, leading, reply, serving
from support.stdio.wrapped import Talk, call, request

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "2025-11-25"
CLIENT = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "lines", "version": "1"}}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Forgetful:
    """A server that can be made to forget its sessions."""

    def __init__(self) -> None:
        self.session = 0
        self.version = VERSION
        self.streams = False
        self.begins = True
        self.knows = True
        self.called: list[str] = []
        self._lock = Lock()

    def forget(self) -> None:
        """Ends every session."""
        self.knows = False

    def answer(self, method: str, fields: dict[str, str], message: Any) -> Any:
        """The reply to one request."""
        with self._lock:
            if method == "POST" and message.get("method") == "initialize":
                assert "mcp-session-id" not in fields
                return self._begin(message["id"])
            if not self.knows or fields["mcp-session-id"] != str(self.session):
                gone = {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "Session not found"}}
                return 404, "application/json", json.dumps(gone).encode(), {}
            if method != "POST":
                return (405, "", b"", {}) if method == "GET" else (204, "", b"", {})
            if "id" not in message:
                return 202, "", b"", {}
            self.called.append(message["id"])
            return 200, "application/json", reply(message["id"], session=self.session), {}

    def _begin(self, number: Any) -> Any:
        if not self.begins:
            return 503, "", b"", {}
        self.session, self.knows = self.session + 1, True
        answer = reply(number, protocolVersion=self.version)
        named = {"mcp-session-id": str(self.session)}
        if self.streams:
            return 200, "text/event-stream", event(answer, "id: 1"), named
        return 200, "application/json", answer, named


def begin(talk: Talk) -> None:
    """Sends the first messages of a client."""
    talk.send(request("begin", "initialize", **CLIENT), INITIALIZED)
    assert talk.reply()["result"]["protocolVersion"] == VERSION


@pytest.mark.parametrize("streams", [False, True])
def test_another_session_is_begun_and_the_call_sent_once_more(streams: bool) -> None:
    server = Forgetful()
    server.streams = streams
    with serving(server.answer) as (url, asked), Talk(leading(url)) as talk:
        begin(talk)
        talk.send(call("a", "open"))
        assert talk.reply()["result"] == {"session": 1}
        server.forget()
        talk.send(call("b", "open"))
        assert talk.reply() == {"jsonrpc": "2.0", "id": "b", "result": {"session": 2}}
        talk.send(call("c", "open"))
        assert talk.reply()["result"] == {"session": 2}
        talk.close()
        assert talk.rest() == [], "the second `initialize` is nobody's"
        assert talk.code() == 0
        assert "ended the session, and another one was begun" in talk.errors()
    assert server.called == ["a", "b", "c"], "each once"
    said = [message.get("method") for method, _, message in asked if method == "POST"]
    opening = ["initialize", "notifications/initialized"]
    assert said == [*opening, "tools/call", "tools/call", *opening, "tools/call", "tools/call"]
    [first, second] = [message for _, _, message in asked if message and message.get("method") == "initialize"]
    assert first == second
    assert [fields["mcp-session-id"] for method, fields, _ in asked if method == "DELETE"] == ["2"]
    streams_asked = [fields["mcp-session-id"] for method, fields, _ in asked if method == "GET"]
    assert streams_asked == ["1", "2"], "the server's own stream as well"


def test_calls_at_once_begin_one_session() -> None:
    server = Forgetful()
    numbers = [f"call-{n}" for n in range(20)]
    with serving(server.answer) as (url, _), Talk(leading(url)) as talk:
        begin(talk)
        server.forget()
        talk.send(*(call(number, "open") for number in numbers))
        replies = [talk.reply() for _ in numbers]
    assert {one["id"]: one["result"]["session"] for one in replies} == dict.fromkeys(numbers, 2)
    assert sorted(server.called) == sorted(numbers)


def test_what_nobody_waits_for_is_not_said_in_another_session() -> None:
    server = Forgetful()
    with serving(server.answer) as (url, asked), Talk(leading(url)) as talk:
        begin(talk)
        server.forget()
        talk.send(
            {"jsonrpc": "2.0", "id": 7, "result": {"action": "accept"}},
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "a"}},
        )
        talk.send(call("b", "open"))
        assert talk.reply()["result"] == {"session": 2}
    later = [message for _, fields, message in asked if fields.get("mcp-session-id") == "2" and message]
    assert [message.get("method") for message in later] == ["notifications/initialized", "tools/call"]


@pytest.mark.parametrize("fault", ["refuses", "speaks another version"])
def test_where_no_other_session_can_be_begun_the_client_is_told(fault: str) -> None:
    server = Forgetful()
    with serving(server.answer) as (url, asked), Talk(leading(url)) as talk:
        begin(talk)
        server.forget()
        if fault == "refuses":
            server.begins = False
        else:
            server.version = "2025-03-26"
        talk.send(call("a", "open"))
        error = talk.reply()
        assert (error["id"], error["error"]["code"]) == ("a", 404)
        assert "start the client anew" in error["error"]["message"]
        assert server.called == []
        if fault != "refuses":
            # A session that nobody uses is not left behind.
            assert asked[-1][0] == "DELETE"


def test_a_call_is_sent_once_more_and_not_again() -> None:
    server = Forgetful()

    def script(method: str, fields: dict[str, str], message: Any) -> Any:
        if method == "POST" and message.get("method") == "tools/call":
            server.forget()
        return server.answer(method, fields, message)

    with serving(script) as (url, asked), Talk(leading(url)) as talk:
        begin(talk)
        talk.send(call("a", "open"))
        assert talk.reply()["error"]["code"] == 404
    assert [message.get("method") for _, _, message in asked if message].count("tools/call") == 2


def test_a_method_that_is_not_there_ends_no_session() -> None:
    server = Forgetful()

    def script(method: str, fields: dict[str, str], message: Any) -> Any:
        if method == "POST" and message.get("method") == "no/such":
            error = {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no such method"}}
            return 404, "application/json", json.dumps(error).encode(), {}
        return server.answer(method, fields, message)

    with serving(script) as (url, _), Talk(leading(url)) as talk:
        begin(talk)
        talk.send(request("a", "no/such"))
        assert talk.reply()["error"] == {"code": -32601, "message": "no such method"}
    assert server.session == 1


def test_a_real_server_may_be_started_anew() -> None:
    needed(SDK)
    port = free_port()
    words = [str(SDK), str(PROGRAMS / "sdk_server.py"), str(port)]
    url = f"http://127.0.0.1:{port}/mcp"
    with Talk(leading(url)) as talk:
        for number in range(3):
            with listening(words, port, own_environment()):
                if number == 0:
                    begin(talk)
                talk.send(call(number, "add", a=number, b=1))
                while "id" not in (answer := talk.reply()):
                    """Skips other messages of the server."""
                assert answer["id"] == number
                assert answer["result"]["structuredContent"] == {"result": number + 1}
            # Who is still connected finds out.
            time.sleep(0.1)


def test_authorities_can_be_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))

    def script(_method: str, _fields: dict[str, str], message: Any) -> Any:
        return 200, "application/json", reply(message["id"], done=True), {}

    with serving(script, context) as (url, asked):
        with Talk(leading(url, "--ca", str(tmp_path / "ca.pem"))) as talk:
            talk.send(call(1, "open"))
            assert talk.reply()["result"] == {"done": True}
        for further in ([], ["--ca", str(tmp_path / "other.pem")]):
            with Talk(leading(url, *further)) as talk:
                talk.send(call(1, "open"))
                error = talk.reply()["error"]
                assert error["code"] == 502
                assert "certificate" in error["message"]
    assert len(asked) == 1
    (tmp_path / "none.pem").write_text("")
