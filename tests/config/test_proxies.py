"""Sources of caller, server and tool in requests of a proxy: the data plane does as the configuration says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from callgate import ConfigError, Engine, Server
from callgate.config.faults import InvalidConfigError
from callgate.config.load import load
from support.setup import TIMEOUT_S, Setup

if TYPE_CHECKING:
    from collections.abc import Callable

METHOD = "/envoy.service.auth.v3.Authorization/Check"
POLICY = {"version": "1", "name": "p", "default": "deny", "tools": {"open": {}, "shut": {"action": "deny"}}}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def written(folder: Path, proxies: dict[str, Any]) -> Path:
    path = folder / "callgate.json"
    path.write_text(json.dumps({"proxies": proxies}))
    return path


def field(number: int, value: bytes) -> bytes:
    """One field of a message as Envoy writes it: of a message, a string or bytes."""
    length, varint = len(value), b""
    while length > 0x7F:
        varint, length = varint + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | 2]) + varint + bytes([length]) + value


def request(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """A `CheckRequest` about a POST, by the field numbers of `envoy.service.auth.v3.AttributeContext`."""
    http = field(2, b"POST") + field(4, path.encode()) + field(5, b"localhost") + field(12, body)
    for name, value in headers.items():
        http += field(3, field(1, name.encode()) + field(2, value.encode()))
    return field(1, field(4, field(2, http)))


def test_every_source_reaches_the_data_plane(tmp_path: Path) -> None:
    proxies = {
        "identity": [
            "token",
            {"header": "x-agent"},
            "spiffe",
            {"metadata": {"namespace": "envoy.filters.http.jwt_authn", "path": ["payload", "sub"]}},
        ],
        "server": [{"extension": "s"}, "host", "path", "token", {"always": "one"}],
        "hosts": {"mcp.example.com": "github"},
        "paths": ["/mcp", "/mcp/{server}", "/servers/{server}/tools/{tool}"],
        "methods": {"allow": ["acme/*"], "deny": ["resources/read"]},
        "tool_errors": True,
        "mcp_metadata": "envoy.filters.http.mcp",
    }
    keywords = load(written(tmp_path, proxies)).config.proxies.server_keywords()
    assert keywords == {
        "identity": [
            ("token",),
            ("header", "x-agent"),
            ("spiffe",),
            ("metadata", "envoy.filters.http.jwt_authn", "payload", "sub"),
        ],
        "server": [("extension", "s"), ("host",), ("path",), ("token",), ("always", "one")],
        "hosts": {"mcp.example.com": "github"},
        "paths": ["/mcp", "/mcp/{server}", "/servers/{server}/tools/{tool}"],
        "methods": (["acme/*"], ["resources/read"]),
        "tool_errors": True,
        "mcp_metadata": "envoy.filters.http.mcp",
    }
    engine = Engine.from_json(json.dumps(POLICY))
    Server(engine, proxies=keywords).check()
    Server(engine, proxies=load(None).config.proxies.server_keywords()).check()


@pytest.mark.parametrize(
    ("proxies", "fault"),
    [
        ({"identity": []}, "proxies.identity"),
        ({"identity": ["cookie"]}, "proxies.identity"),
        ({"identity": [{"header": "X-Agent"}]}, "lower-case"),
        ({"identity": [{"header": "x-callgate-rule"}]}, "x-callgate-"),
        ({"identity": [{"metadata": {"namespace": "n", "path": []}}]}, "proxies.identity"),
        ({"server": ["host"]}, "hosts"),
        ({"hosts": {"a": "b"}}, "hosts"),
        ({"server": ["host"], "hosts": {"A.example.com:80": "b"}}, "lower-case host"),
        ({"paths": ["mcp/{server}"]}, "expected a path"),
        ({"paths": ["/mcp"]}, "{server}"),
        ({"server": ["token"], "paths": ["/mcp/{server}"]}, "without `path` in `server`"),
        ({"server": []}, "proxies.server"),
        ({"identity": [{"header": "authorization"}]}, "holds a secret"),
        ({"methods": {"allow": ["tools/call"]}}, "judged by the policy"),
        ({"paths": ["/{tool}/{tool}"]}, "once"),
        ({"paths": ["/a/../{tool}"]}, "expected a path"),
        ({"path": ["/{tool}"]}, "paths"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, proxies: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidConfigError, match=fault.replace("{", r"\{")):
        load(written(tmp_path, proxies))


@pytest.mark.parametrize(
    ("proxies", "fault"),
    [
        ({"identity": [("cookie",)]}, "`identity`"),
        ({"identity": [("metadata", "n")]}, "`identity`"),
        ({"server": [("extension",)]}, "`server`"),
        ({"hosts": ["a"]}, "`hosts`"),
        ({"paths": ["mcp"]}, "`mcp`"),
        ({"methods": (["tools/call"], [])}, "`methods`"),
        ({"methods": ["a"]}, "`methods`"),
        ({"tool_errors": "yes"}, "`tool_errors`"),
        ({"mcp_metadata": True}, "`mcp_metadata`"),
        ({"path": []}, "unknown key `path`"),
    ],
)
def test_the_library_refuses_it_as_well(proxies: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        Server(Engine.from_json(json.dumps(POLICY)), proxies=proxies)


def test_envoy_is_answered() -> None:
    proxies = {
        "identity": [("header", "x-agent")],
        "server": [("always", "srv")],
        "paths": ["/rest/{tool}"],
        "hosts": {},
    }
    with (
        Server(Engine.from_json(json.dumps(POLICY)), proxies=proxies) as server,
        grpc.insecure_channel(str(server.address)) as channel,
    ):
        ask: Callable[..., bytes] = channel.unary_unary(METHOD)
        allowed = ask(request("/rest/open", {"x-agent": "a", "content-type": "application/json"}, b"{}"), timeout=20)
        denied = ask(request("/rest/shut", {"x-agent": "a", "content-type": "application/json"}, b"{}"), timeout=20)
        nobody = ask(request("/rest/open", {}, b"{}"), timeout=20)
    assert b"x-callgate-outcome" in allowed
    assert b'"outcome"' not in allowed, "what is denied has a body"
    assert b'"rule":"/tools/shut/action"' in denied
    assert b'"rule":"(invalid request)"' in nobody


def test_changes_take_effect_at_once(setup: Setup) -> None:
    setup.write("p.json", POLICY)

    def configure(**proxies: Any) -> None:
        setup.configure(servers={"s": {"policy": "p"}}, policies={"p": "p.json"}, proxies=proxies)

    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "open"}}).encode()
    configure(identity=[{"header": "x-one"}])
    with setup.serving() as running, grpc.insecure_channel(running.address) as channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)

        def allowed(name: str, path: str = "/mcp/s") -> bool:
            length = {"content-length": str(len(body))}
            # What is denied has a body.
            return b'"outcome"' not in check(request(path, {name: "a", **length}, body), timeout=TIMEOUT_S)

        assert [allowed("x-one"), allowed("x-two")] == [True, False]
        with running.reload():
            configure(identity=[{"header": "x-two"}])
        assert [allowed("x-one"), allowed("x-two")] == [False, True]
        with running.reload("failure"):
            configure(identity=[{"header": "X-One"}])
        assert [allowed("x-one"), allowed("x-two")] == [False, True]
        with running.reload():
            configure(identity=[{"header": "x-two"}], paths=["/servers/{server}"])
        assert [allowed("x-two"), allowed("x-two", "/servers/s")] == [False, True]
