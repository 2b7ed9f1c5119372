"""nginx, Caddy, HAProxy and Envoy asking over HTTP, as `deploy` configures them: what clients really see."""

from __future__ import annotations

import json
import time
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from support.proxies.forward import HAPROXY, KINDS, NGINX, WITH_BODY, WITHOUT_BODY, Kind, forwarding
from support.proxies.upstream import call, keeping_upstream, send_raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.proxies.envoy import Answer, Proxy

PATH = "/mcp/aws"
FORWARDED = "/mcp"
UNASKED = {"nginx": 500, "caddy": 502, "haproxy": 503, "envoy": 403}
"""The client's status code if callgate does not answer."""


def token(name: str = "alice") -> tuple[str, bytes]:
    return ("authorization", f"Bearer cgt_{name}".encode())


def named(tool: str, method: str = "tools/call") -> list[tuple[str, bytes]]:
    """Header fields that clients of MCP 2026-07-28 send with their body."""
    fields = {"mcp-protocol-version": "2026-07-28", "mcp-method": method, "mcp-name": tool}
    return [("content-type", b"application/json"), *((name, value.encode()) for name, value in fields.items())]


def asks(proxy: Proxy, tool: str, *headers: tuple[str, bytes], who: str = "alice", **arguments: object) -> Answer:
    """A call of a tool as clients make it."""
    return send_raw(proxy.address, "POST", PATH, [token(who), *named(tool), *headers], call(tool, **arguments))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_allowed_calls_go_on_as_they_were_judged(tmp_path: Path, kind: Kind) -> None:
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port) as (proxy, _):
        assert asks(proxy, "open", n=1).status == 200
        [arrived] = upstream.arrived
        assert (arrived.method, arrived.path, arrived.body) == ("POST", FORWARDED, call("open", n=1))
        assert arrived.header("x-callgate-outcome") == "allow"
        assert arrived.header("x-callgate-policy") == "example"
        assert arrived.header("x-callgate-rule") is None
        # The token is for callgate, and that of the proxy for nobody else.
        assert "cgt_" not in str(arrived.headers)
        assert send_raw(proxy.address, "GET", PATH, [token()], None).status == 200
        assert send_raw(proxy.address, "DELETE", PATH, [token()], None).status == 200
        assert len(upstream.arrived) == 3


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_denials_say_why_and_when_to_try_again(tmp_path: Path, kind: Kind) -> None:
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port, tool_errors=False) as (proxy, _):
        assert [asks(proxy, "capped").status for _ in range(3)] == [200, 200, 429]
        capped = asks(proxy, "capped")
        assert 0 < int(capped.headers["retry-after"]) <= 3600
        assert '"calls";r=0' in capped.headers["ratelimit"]
        assert capped.headers["x-callgate-outcome"] == "rate_limited"
        assert capped.headers["content-type"] == "application/json"
        if kind.forwards_body:
            assert capped.body["id"] == 7
            assert "try again in" in capped.body["result"]["content"][0]["text"]
        else:
            assert capped.body["id"] is None
            assert capped.body["error"]["code"] == 429
            assert "try again in" in capped.body["error"]["message"]
        # Another caller has a count of its own.
        assert asks(proxy, "capped", who="bob").status == 200

        denied = asks(proxy, "small", n=11)
        assert denied.status == 403
        if kind.forwards_body:
            assert denied.body["result"]["content"][0]["text"] == "too many"
            assert asks(proxy, "small", n=10).status == 200
        else:
            # Nobody has seen the arguments, right ones or wrong.
            assert "forward the request's body" in denied.body["error"]["message"]
            assert asks(proxy, "small", n=10).status == 403
        assert {request.header("mcp-name") for request in upstream.arrived} <= (
            {"capped", "small"} if kind.forwards_body else {"capped"}
        )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_strangers_get_nothing(tmp_path: Path, kind: Kind) -> None:
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port, tool_errors=False) as (proxy, _):
        nobody = asks(proxy, "open", who="nobody")
        assert (nobody.status, nobody.headers["x-callgate-rule"]) == (403, "(unknown grant)")
        missing = send_raw(proxy.address, "POST", PATH, named("open"), call("open"))
        assert missing.status == 403
        elsewhere = send_raw(proxy.address, "POST", "/mcp/other", [token(), *named("open")], call("open"))
        assert elsewhere.status == 403
        for answer in (nobody, missing, elsewhere):
            assert "cgt_" not in str(answer)
        # A client that sends the field of the proxy: it is the proxy's all the same.
        forged = asks(proxy, "open", ("x-callgate-pep", b"Bearer cgt_nobody"))
        assert forged.status == 200
        assert len(upstream.arrived) == 1


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_forged_headers_do_not_arrive(tmp_path: Path, kind: Kind) -> None:
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port) as (proxy, _):
        for name in [
            "X-Callgate-Rule",
            "x-callgate-outcome",
            "x-callgate-made-up",
            "x_callgate_rule",
            "x.callgate.rule",
            "x_callgate-rule",
            "x-callgate_rule",
            "x.callgate_made-up",
        ]:
            asks(proxy, "open", (name, b"forged"))
        assert asks(proxy, "open").status == 200
        for arrived in upstream.arrived:
            assert b"forged" not in str(arrived).encode(), arrived
            assert arrived.header("x-callgate-outcome") == "allow"


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_client_does_not_describe_its_own_request(tmp_path: Path, kind: Kind) -> None:
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port) as (proxy, _):
        for family in ["original", "forwarded"]:
            for separator in "-_.":
                fields = [("method", b"GET"), ("uri", b"/mcp/aws?x=1"), ("url", b"http://h/mcp/aws"), ("host", b"h")]
                names = [(separator.join(["x", family, name]), value) for name, value in fields]
                # Without a message: right for a `GET`, and this is none.
                refused = send_raw(proxy.address, "POST", PATH, [token(), *names], b'{"jsonrpc":"2.0"}')
                assert refused.status in {400, 403}, (names, refused)
        assert upstream.arrived == []


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_no_upgrade_opens_a_stream_that_nobody_judges(tmp_path: Path, kind: Kind) -> None:
    upgrade = [
        ("connection", b"upgrade"),
        ("upgrade", b"websocket"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port) as (proxy, _):
        assert send_raw(proxy.address, "GET", PATH, [token()], None).status == 200
        send_raw(proxy.address, "GET", PATH, [token(), *upgrade], None)
        assert [request.header("upgrade") for request in upstream.arrived if request.header("upgrade")] == []


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_paths_that_are_read_in_different_ways_do_not_pass(tmp_path: Path, kind: Kind) -> None:
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port) as (proxy, _):
        headers = [token(), *named("open")]
        for path in [
            "//mcp/aws",
            "/mcp//aws",
            "/mcp/./aws",
            "/x/../mcp/aws",
            "/mcp/%2e%2e/mcp/aws",
            "/mcp/aws;v=1",
            "/mcp/aws%3b",
            "/mcp%2faws",
            "/mcp/aws%2f",
            "/mcp\\aws",
            "/mcp/aws#/../../other",
            "/mcp/aws%00",
        ]:
            send_raw(proxy.address, "POST", path, headers, call("open"))
        # What a proxy makes plain before it asks is judged in that form, and goes on in it.
        assert {arrived.path for arrived in upstream.arrived} <= {FORWARDED}
        assert send_raw(proxy.address, "POST", f"{PATH}?deny=0&x=//..;", headers, call("open")).status == 200
        assert upstream.arrived[-1].path == f"{FORWARDED}?deny=0&x=//..;"


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_whole_addresses_are_judged_by_the_path_that_servers_read(tmp_path: Path, kind: Kind) -> None:
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port, tool_errors=False) as (proxy, _):
        headers = [token(), *named("open")]
        for target in [
            "http://host?/mcp/aws",
            "HTTP://host?/mcp/aws",
            "http://host:80?/mcp/aws",
            "http://user@host?/mcp/aws",
            "http://?/mcp/aws",
            "http://host#/mcp/aws",
            "http://host?x=/mcp/aws",
            "http://host\\/mcp/aws",
            "http://host;/mcp/aws",
            "http://host@/mcp/aws",
            "http://host/?/mcp/aws",
            "http://host//mcp/aws",
            "http:///mcp/aws",
            "http:/mcp/aws",
            "ftp://host?/mcp/aws",
            "//host/mcp/aws",
            "?/mcp/aws",
            "*",
            "host/mcp/aws",
        ]:
            # Some proxies compare the two, each by its own idea of where a host ends.
            for host in {None, "host", target.partition("://")[2].partition("/")[0] or None}:
                send_raw(proxy.address, "POST", target, headers, call("open"), host=host)
        assert {read_path(arrived.path) for arrived in upstream.arrived} <= {FORWARDED}
        # Not every proxy takes one, but where it does, it is judged as any other.
        whole = send_raw(proxy.address, "POST", f"http://host{PATH}", headers, call("open"), host="host")
        other = send_raw(proxy.address, "POST", "http://host/mcp/other", headers, call("open"), host="host")
        assert (whole.status, other.status) == (200, 403)


def read_path(target: str) -> str:
    """The path of a target as servers read it, whether it is a path or a whole address (RFC 3986 section 3.2)."""
    if target.startswith("/"):
        return target.partition("?")[0]
    _, _, rest = target.partition("://")
    end = next((at for at, sign in enumerate(rest) if sign in "/?#\\"), len(rest))
    return rest[end:].partition("?")[0] or "/"


@pytest.mark.parametrize("kind", WITH_BODY, ids=str)
def test_bodies_are_judged_whole(tmp_path: Path, kind: Kind) -> None:
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port, tool_errors=False) as (proxy, _):
        headers = [token(), *named("small")]
        chunked = send_raw(proxy.address, "POST", PATH, headers, call("small", n=11), chunked=True)
        assert chunked.status in {403, 411}
        for size in [200_000, 270_000, 2_000_000]:
            large = call("small", n=11, filler="x" * size)
            assert send_raw(proxy.address, "POST", PATH, headers, large).status in {0, 400, 403, 413}
            chunked = send_raw(proxy.address, "POST", PATH, headers, large, chunked=True)
            assert chunked.status in {0, 400, 403, 411, 413}
        gzip = [*headers, ("content-encoding", b"gzip")]
        assert send_raw(proxy.address, "POST", PATH, gzip, call("small", n=1)).status == 403
        # A message is one whatever the method, and what it says it is.
        kinds = [token(), ("content-type", b"application/grpc")]
        send_raw(proxy.address, "POST", PATH, kinds, call("small", n=11))
        assert send_raw(proxy.address, "GET", PATH, [token()], call("small", n=11)).status == 403
        assert upstream.arrived == []
        plain = call("small", n=1, filler="x" * 200_000)
        assert send_raw(proxy.address, "POST", PATH, headers, plain).status == 200
        assert upstream.arrived[0].body == plain


@pytest.mark.parametrize("kind", WITHOUT_BODY, ids=str)
def test_a_body_that_nobody_sees_is_not_taken_for_none(tmp_path: Path, kind: Kind) -> None:
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port) as (proxy, _):
        for method in ["GET", "DELETE"]:
            for chunked in [False, True]:
                send_raw(proxy.address, method, PATH, [token()], call("small", n=11), chunked=chunked)
        grpc = [token(), ("content-type", b"application/grpc")]
        assert send_raw(proxy.address, "POST", PATH, grpc, call("small", n=11)).status == 403
        # Older clients name nothing beside their body.
        for body in [call("open"), json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize"}).encode()]:
            old = send_raw(proxy.address, "POST", PATH, [token(), ("mcp-protocol-version", b"2025-11-25")], body)
            assert old.status == 403
            assert "2026-07-28" in old.body["error"]["message"]
        assert upstream.arrived == []


def test_nginx_refuses_what_it_could_not_take_away(tmp_path: Path) -> None:
    with keeping_upstream() as upstream, forwarding(NGINX, tmp_path, upstream.port) as (proxy, _):
        refused = asks(proxy, "open", ("X-Callgate-Made-Up", b"1"))
        assert (refused.status, refused.headers["x-callgate-rule"]) == (403, "(invalid request)")
        assert upstream.arrived == []


def test_haproxy_passes_nothing_where_its_action_breaks_off(tmp_path: Path) -> None:
    line = "    setenv CALLGATE_URL http://127.0.0.1:9191\n"

    def broken(text: str) -> str:
        # Without it the action has nothing to put together.
        assert text.count(line) == 1
        return text.replace(line, "    setenv CALLGATE_UNUSED http://127.0.0.1:9191\n")

    with keeping_upstream() as upstream, forwarding(HAPROXY, tmp_path, upstream.port, edit=broken) as (proxy, _):
        assert asks(proxy, "open").status == 503
        assert upstream.arrived == []


def test_haproxy_asks_about_methods_that_mcp_has(tmp_path: Path) -> None:
    with keeping_upstream() as upstream, forwarding(HAPROXY, tmp_path, upstream.port) as (proxy, _):
        for method in ["PUT", "OPTIONS", "HEAD", "__index", "__INDEX", "get"]:
            refused = send_raw(proxy.address, method, PATH, [token(), *named("open")], call("open"))
            assert refused.status in {400, 405}, (method, refused)
        assert upstream.arrived == []


def test_behind_haproxy_a_denied_call_may_be_a_tool_s_result(tmp_path: Path) -> None:
    with keeping_upstream() as upstream, forwarding(HAPROXY, tmp_path, upstream.port) as (proxy, _):
        denied = asks(proxy, "small", n=11)
        assert (denied.status, denied.body["id"], denied.body["result"]["isError"]) == (200, 7, True)
        assert asks(proxy, "open", who="nobody").status == 200, "the call of a stranger is a call"
        unknown = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/destroy"}).encode()
        assert send_raw(proxy.address, "POST", PATH, [token()], unknown).status == 403
        assert upstream.arrived == []


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_nothing_passes_once_callgate_is_gone(tmp_path: Path, kind: Kind) -> None:
    with keeping_upstream() as upstream, forwarding(kind, tmp_path, upstream.port) as (proxy, running):
        over = Event()
        statuses: list[list[int]] = [[] for _ in range(4)]

        def load(own: list[int]) -> None:
            while not over.is_set():
                own.append(asks(proxy, "open").status)

        threads = [Thread(target=load, args=[own]) for own in statuses]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(upstream.arrived) >= 20)
        running.process.kill()
        running.process.wait()
        wait_until(lambda: all(own and own[-1] != 200 for own in statuses))
        over.set()
        for thread in threads:
            thread.join()
        for own in statuses:
            # Once it was refused, nothing passed again.
            passed = own.index(next(status for status in own if status != 200))
            assert set(own[passed:]) <= {403, 500, 502, 503}, own
        assert all(arrived.header("x-callgate-outcome") == "allow" for arrived in upstream.arrived)
        count = len(upstream.arrived)
        assert asks(proxy, "open").status == UNASKED[kind.name]
        assert len(upstream.arrived) == count


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if is_so():
            return
        time.sleep(0.01)
    pytest.fail("it does not come")


def test_nginx_opens_where_its_configuration_says_so(tmp_path: Path) -> None:
    line = "# error_page 502 504 = @unasked;"

    def opened(text: str) -> str:
        assert text.count(line) == 1
        return text.replace(line, line.removeprefix("# "))

    with keeping_upstream() as upstream, forwarding(NGINX, tmp_path, upstream.port, edit=opened) as (proxy, running):
        assert asks(proxy, "small", n=11).status == 403, "asked, it says no"
        running.stop()
        assert asks(proxy, "small", ("x-callgate-outcome", b"forged"), n=11).status == 200
        [arrived] = upstream.arrived
        assert not arrived.header("x-callgate-outcome")
