"""Envoy's external processing with a real Envoy, as `deploy/envoy` configures it."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from support.http_server import Handler, serving
from support.ports import free_port
from support.program import Sidecar
from support.proxies import guarded as guarding
from support.proxies.envoy import Proxy, upstream
from support.proxies.guarded import guarded, guarded_server
from support.proxies.mcp import mcp_client, mcp_server
from support.proxies.policies import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENT = {"x-agent": "a"}
PROC = ("ext-proc.yaml", "callgate.yaml")
ALL = ("all.yaml", "callgate-all.yaml")
HIDING = {**POLICY, "hide": ["secret"]}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


LIST = {"jsonrpc": "2.0", "id": 7, "method": "tools/list"}


def test_calls_pass_or_are_denied_with_a_reason(tmp_path: Path) -> None:
    with guarded(tmp_path, PROC, tool_errors=False) as (proxy, _):
        forged = {"x-callgate-rule": "forged", "x-callgate-outcome": "deny", "x.callgate.x": "forged"}
        passed = proxy.send("POST", "/mcp/aws", {**AGENT, **forged}, call("open"))
        assert passed.status == 200, passed
        seen = passed.body["headers"]
        assert (seen["x-callgate-outcome"], seen["x-callgate-policy"]) == ("allow", "example")
        assert not {"x-callgate-rule", "x.callgate.x"} & seen.keys()
        assert json.loads(passed.body["body"]) == call("open")

        denied = proxy.send("POST", "/mcp/aws", AGENT, call("small", n=11))
        assert (denied.status, denied.body["id"]) == (403, 7)
        assert denied.headers["x-callgate-rule"] == "/tools/small/deny_if/args.n-gt"
        assert denied.headers["content-type"] == "application/json"
        assert denied.body["result"]["content"][0]["text"] == "too many"
        assert proxy.send("POST", "/mcp/aws", AGENT, call("small", n=10)).status == 200

        statuses = [proxy.send("POST", "/mcp/aws", AGENT, call("capped")).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        capped = proxy.send("POST", "/mcp/aws", AGENT, call("capped"))
        assert int(capped.headers["retry-after"]) > 0
        assert "try again in" in capped.body["result"]["content"][0]["text"]
        assert proxy.send("POST", "/mcp/aws", {"x-agent": "b"}, call("capped")).status == 200
        for method in ["GET", "DELETE"]:
            assert proxy.send(method, "/mcp/aws", AGENT).status == 200


def test_what_was_not_judged_does_not_pass(tmp_path: Path) -> None:
    with guarded(tmp_path, PROC, tool_errors=False) as (proxy, _):
        for headers, path, body in [
            ({}, "/mcp/aws", call("open")),
            (AGENT, "/mcp/other", call("open")),
            ({**AGENT, "content-encoding": "gzip"}, "/mcp/aws", call("open")),
            ({**AGENT, "mcp-name": "other"}, "/mcp/aws", call("open")),
            (AGENT, "/mcp/aws", [call("open")]),
            (AGENT, "/mcp/aws", {**call("open"), "Method": "ping"}),
            (AGENT, "/mcp/aws", b"{"),
            (AGENT, "/mcp/aws", b""),
            (AGENT, "/mcp/aws", b" " * 2_000_000),
        ]:
            denied = proxy.send("POST", path, headers, body)
            assert denied.status in {400, 403, 413}, (headers, path, body, denied)
        assert proxy.send("POST", "/mcp/aws", AGENT, call("open")).status == 200


def test_nothing_passes_when_callgate_is_gone_unless_so_configured(tmp_path: Path) -> None:
    with guarded(tmp_path, PROC) as (proxy, running):
        assert proxy.send("POST", "/mcp/aws", AGENT, call("open")).status == 200
        running.process.kill()
        running.process.wait()
        assert proxy.send("POST", "/mcp/aws", AGENT, call("open")).status in {500, 504}


def test_everything_passes_where_that_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "failure_mode_allow: false"
    text = (guarding.DEPLOY / "ext-proc.yaml").read_text()
    assert text.count(line) == 1
    ours = guarding.DEPLOY / "callgate.yaml"
    (tmp_path / "ext-proc.yaml").write_text(text.replace(line, "failure_mode_allow: true"))
    (tmp_path / "callgate-ours.yaml").write_text(ours.read_text())
    monkeypatch.setattr(guarding, "DEPLOY", tmp_path)
    with guarded(tmp_path, ("ext-proc.yaml", "callgate-ours.yaml")) as (proxy, running):
        assert proxy.send("POST", "/mcp/aws", {}, call("open")).body["result"]["isError"] is True
        running.process.kill()
        running.process.wait()
        assert proxy.send("POST", "/mcp/aws", {}, call("open")).status == 200


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("form", ["json", "events"])
def test_a_client_sees_no_hidden_tool(tmp_path: Path, stateless: bool, form: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("open", {"n": 3}), ("secret", {}), ("small", {"n": 11})]
    calls += [("capped", {})] * 3 + [("open", {"n": 4})]
    with (
        mcp_server("/mcp", "secret", *(["json"] if form == "json" else []), stateless=stateless) as port,
        guarded_server(tmp_path, port, PROC, HIDING) as (proxy, _),
    ):
        direct = mcp_client(f"http://127.0.0.1:{port}/mcp", [])
        saw = mcp_client(f"http://{proxy.address}/mcp/aws", calls)
    assert direct["tools"] == ["capped", "open", "secret", "small"]
    assert saw["tools"] == ["capped", "open", "small"]
    opened, secret, small, *capped, last = saw["seen"]
    assert opened == ["done", "opened 3"]
    assert secret[0] == "refused"
    assert small == ["refused", "too many"]
    assert capped[:2] == [["done", "done"]] * 2
    assert capped[2][0] == "refused"
    assert "try again in" in capped[2][1]
    assert last == ["done", "opened 4"], "the session goes on"


class Answering(Handler):
    """Answers as the test says."""

    answers: dict[str, tuple[dict[str, str], list[bytes]]] = {}  # noqa: RUF012  set by each test
    asked: list[dict[str, str]] = []  # noqa: RUF012  as above

    def do_POST(self) -> None:
        """Answers what is set for the path's query."""
        self.rfile.read(int(self.headers.get("content-length") or 0))
        Answering.asked.append({name.lower(): value for name, value in self.headers.items()})
        headers, pieces = Answering.answers[self.path.partition("?")[2]]
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
            time.sleep(0.01)
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Proxy]:
    with serving(Answering) as port, guarded_server(tmp_path, port, PROC, HIDING) as (proxy, _):
        yield proxy


def listed(*names: str, **members: Any) -> bytes:
    tools = [{"name": name, "description": "d" * 70_000} for name in names]
    return json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"tools": tools, **members}}).encode()


def test_lists_are_cut_in_every_form(answering: Proxy) -> None:
    whole, cut = listed("open", "secret"), listed("open")
    events = b"id: 1\r\ndata: " + whole + b"\r\n\r\n: ping\n\ndata:\n\n"
    cut_events = b"id: 1\r\ndata: " + cut + b"\r\n\r\n: ping\n\ndata:\n\n"
    json_type, sse = {"content-type": "application/json"}, {"content-type": "text/event-stream"}
    Answering.answers = {
        "json": ({**json_type, "etag": '"x"'}, [whole[:7], whole[7:]]),
        "sse": (sse, [events[:9], events[9:13], events[13:-20], events[-20:]]),
        "public": (json_type, [listed("open", ttlMs=5, cacheScope="public")]),
        "zipped": ({**json_type, "content-encoding": "gzip"}, [b"\x1f\x8b"]),
        "text": ({"content-type": "text/plain"}, [whole]),
        "broken": (json_type, [b'{"result":{"tools":[{"name":"secret"}],"tools":[]}}']),
        "broken-sse": (sse, [b'data: [{"result":{"tools":[{"name":"secret"}]}}]\n\n']),
    }
    Answering.asked.clear()
    asking = {**AGENT, "accept-encoding": "gzip", "if-none-match": '"x"'}

    def send(form: str, method: str = "POST") -> Any:
        return proxy.send(method, f"/mcp/aws?{form}", asking, LIST if method == "POST" else None)

    proxy = answering
    answer = send("json")
    assert (answer.status, answer.body) == (200, json.loads(cut))
    assert "etag" not in answer.headers
    assert not {"accept-encoding", "if-none-match"} & Answering.asked[0].keys()
    assert send("sse").body == cut_events
    # A stream on which anything may come.
    assert send("sse", "GET").body == cut_events
    assert send("public").body["result"]["cacheScope"] == "private"
    for form in ["zipped", "text", "broken"]:
        withheld = send(form)
        assert (withheld.status, withheld.body["id"]) == (200, 7), (form, withheld)
        assert "withheld" in withheld.body["error"]["message"], form
    for method in ["POST", "GET"]:
        withheld = send("broken-sse", method).body
        assert b"withheld" in withheld
        assert b"secret" not in withheld
    assert send("zipped", "GET").status == 502
    # What is no list is nobody's business.
    called = proxy.send("POST", "/mcp/aws?zipped", AGENT, call("open"))
    assert called.body == b"\x1f\x8b"


ONCE = {
    **POLICY,
    "tools": {"once": {"limits": [{"counter": "calls", "window": "hour", "max": 1}]}},
}


def test_units_come_back_when_the_server_was_never_reached(tmp_path: Path) -> None:
    port = free_port()
    with guarded_server(tmp_path, port, PROC, ONCE, tool_errors=False) as (proxy, _):
        assert proxy.send("POST", "/mcp/aws", AGENT, call("once")).status == 503
        Answering.answers = {"": ({}, [b"{}"])}
        with serving(Answering, port):
            assert proxy.send("POST", "/mcp/aws", AGENT, call("once")).status == 200
            assert proxy.send("POST", "/mcp/aws", AGENT, call("once")).status == 429


def test_units_stay_taken_when_the_server_was_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(65_536)
            connection.close()

        thread = Thread(target=hang_up, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        with guarded_server(tmp_path, port, PROC, ONCE, tool_errors=False) as (proxy, _):
            assert proxy.send("POST", "/mcp/aws", AGENT, call("once")).status in {502, 503}
            assert proxy.send("POST", "/mcp/aws", AGENT, call("once")).status == 429
        thread.join()


def test_all_together(tmp_path: Path) -> None:
    policy = {**ONCE, "tools": {"delete-x": {"limits": [{"counter": "calls", "window": "hour", "max": 3}]}}}
    with guarded(tmp_path, ALL, policy, tool_errors=False) as (proxy, _):

        def send(name: str) -> Any:
            headers = {**AGENT, "mcp-name": name, "mcp-method": "tools/call"}
            return proxy.send("POST", "/mcp/aws", headers, call(name))

        first = [send("delete-x") for _ in range(2)]
        assert [answer.status for answer in first] == [200, 200]
        assert [answer.body["headers"]["x-callgate-remaining"] for answer in first] == ["2", "1"]
        # The rate limit service allows two; each refusal gives the policy's unit back.
        for _ in range(3):
            refused = send("delete-x")
            assert (refused.status, refused.headers["ratelimit-remaining"]) == (429, "0")
            assert "x-callgate-rule" not in refused.headers
        assert send("other").headers["x-callgate-rule"] == "(default deny)"


def kill(running: Sidecar) -> None:
    running.process.kill()
    running.process.wait()


def test_no_call_passes_unjudged_while_callgate_dies(tmp_path: Path) -> None:
    with upstream() as behind, guarded_server(tmp_path, behind, PROC) as (proxy, running):
        seen: list[tuple[int, bool]] = []

        def load() -> None:
            for _ in range(150):
                answer = proxy.send("POST", "/mcp/aws", AGENT, call("open"))
                judged = answer.status == 200 and answer.body["headers"].get("x-callgate-outcome") == "allow"
                seen.append((answer.status, judged))

        threads = [Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        while sum(judged for _, judged in list(seen)) < 20:
            time.sleep(0.005)
        kill(running)
        for thread in threads:
            thread.join()
    assert all(judged or status >= 500 for status, judged in seen), seen
    assert seen[-1][0] >= 500
