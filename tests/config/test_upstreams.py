"""The gateway's servers: what the configuration says, what is wrong with it, and changes while it runs."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from callgate import ConfigError, Engine, Server
from callgate.config.bundle import read_bundle
from callgate.config.check import check, warnings
from callgate.config.faults import InvalidConfigError
from callgate.config.hosts import served_hosts
from callgate.config.load import Option, load
from support.program import refused
from support.proxies.upstream import Upstream, keeping_upstream
from support.setup import Setup

POLICY = {"version": "1", "name": "p", "default": "deny", "tools": {"open": {}}}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "open"}}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_every_key_reaches_the_data_plane(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", " key\n")
    setup.write("p.json", POLICY)
    (setup.folder / "token").write_text("secret\n", encoding="utf-8")
    setup.configure(
        servers={
            "s": {
                "policy": "p",
                "upstream": {
                    "url": "http://127.0.0.1:9/mcp?a=b",
                    "headers": {
                        "authorization": {"file": "token", "prefix": "Bearer "},
                        "x-key": {"env": "SERVER_KEY"},
                    },
                    "allow_link_local": True,
                    "connect_timeout": "1s",
                    "answer_timeout": "2s",
                    "max_requests": 3,
                    "max_requests_per_grant": 2,
                    "max_idle_connections": 4,
                    "idle_timeout": "3s",
                    "list_limit_bytes": "5KiB",
                    "pinning": "report",
                    "probe": False,
                },
            }
        },
        policies={"p": "p.json"},
        state="state",
        gateway={
            "methods": {"allow": ["vendor/*"], "deny": ["prompts/*"]},
            "public_url": "https://callgate.example.com",
            "list": "allowed_only",
            "allowed_origins": ["http://localhost:6274", "https://App.example.com:443"],
        },
    )
    keywords = read_bundle(setup.file).gateway()
    assert keywords == {
        "servers": {
            "s": {
                "url": "http://127.0.0.1:9/mcp?a=b",
                "ca": None,
                "headers": [("authorization", "Bearer secret"), ("x-key", "key")],
                "allow_link_local": True,
                "connect_timeout_ms": 1000,
                "answer_timeout_ms": 2000,
                "max_requests": 3,
                "max_requests_per_grant": 2,
                "max_idle_connections": 4,
                "idle_timeout_ms": 3000,
                "list_limit_bytes": 5120,
                "pinning": "report",
                "probe": False,
            }
        },
        "methods": (["vendor/*"], ["prompts/*"]),
        "public_url": "https://callgate.example.com",
        "lists_allowed_only": True,
        "pins_folder": setup.folder / "state" / "pins",
        "first_lists_s": 24 * 3600,
        "oauth": None,
        "allowed_origins": ["http://localhost:6274", "https://app.example.com"],
    }
    Server(Engine.from_json(json.dumps(POLICY)), gateway=keywords).check()


@pytest.mark.parametrize(
    ("upstream", "fault"),
    [
        ({}, "servers.s.upstream"),
        ({"url": "ftp://a/"}, "expected a URL"),
        ({"url": "https://user:secret@a/"}, "expected a URL"),
        ({"url": "http://a/", "headers": {"X-Key": {"env": "A"}}}, "lower-case"),
        ({"url": "http://a/", "headers": {"host": {"env": "A"}}}, "belongs to the connection"),
        ({"url": "http://a/", "headers": {"x": {}}}, "either `file` or `env`"),
        ({"url": "http://a/", "headers": {"x": {"env": "A", "file": "b"}}}, "either `file` or `env`"),
        ({"url": "http://a/", "max_requests": 0}, "max_requests"),
        ({"url": "http://a/", "max_requests_per_grant": 0}, "max_requests_per_grant"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, upstream: dict[str, Any], fault: str) -> None:
    path = tmp_path / "callgate.json"
    path.write_text(json.dumps({"servers": {"s": {"upstream": upstream}}}), encoding="utf-8")
    with pytest.raises(InvalidConfigError, match=fault) as raised:
        load(path)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("upstream", "fault"),
    [
        ({"url": "http://a/", "headers": {"x": {"env": "CALLGATE_TEST_NOT_SET"}}}, "is not set"),
        ({"url": "http://a/", "headers": {"x": {"file": "none"}}}, "none"),
        ({"url": "https://a/", "ca": "none.pem"}, "none.pem"),
    ],
)
def test_secrets_that_are_not_there_are_told(setup: Setup, upstream: dict[str, Any], fault: str) -> None:
    setup.write("p.json", POLICY)
    setup.configure(servers={"s": {"policy": "p", "upstream": upstream}}, policies={"p": "p.json"})
    with pytest.raises(InvalidConfigError, match=fault):
        read_bundle(setup.file)


@pytest.mark.parametrize(
    ("gateway", "fault"),
    [
        ({"server": {}}, "unknown field `server`"),
        ({"servers": {"s": {}}}, "server `s`: `url` is missing"),
        ({"servers": {"s": {"url": "http://a/", "headers": [("x", "secret\n")]}}}, "server `s`: `headers`"),
        ({"servers": {"s": {"url": "http://169.254.169.254/"}}}, "allow_link_local"),
        ({"servers": {"s": {"url": "https://a/", "ca": b"x"}}}, "server `s`: `ca`"),
        ({"servers": {"s": {"url": "http://a/", "ca": b"x"}}}, "without `https`"),
        ({"servers": {"s": {"url": "http://a/", "pinning": "on"}}}, "expected `off`, `report` or `enforce`"),
        ({"methods": (["tools/call"], [])}, "judged by the policy"),
    ],
)
def test_the_library_refuses_it_as_well(gateway: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as raised:
        Server(Engine.from_json(json.dumps(POLICY)), gateway=gateway).check()
    assert "secret" not in str(raised.value)


def test_changes_take_effect_at_once(setup: Setup) -> None:
    setup.write("p.json", POLICY)
    secret = setup.folder / "token"
    secret.write_text("one", encoding="utf-8")

    def configure(at: Upstream, **further: Any) -> None:
        upstream = {
            "url": f"http://127.0.0.1:{at.port}/mcp",
            "headers": {"authorization": {"file": "token", "prefix": "Bearer "}},
            "probe": False,
            **further,
        }
        setup.configure(servers={"s": {"policy": "p", "upstream": upstream}}, policies={"p": "p.json"})

    with keeping_upstream() as first, keeping_upstream() as second:
        configure(first)
        with setup.serving() as running:

            def send() -> int:
                return httpx.post(f"http://{running.address}/mcp/s", json=CALL, timeout=20).status_code

            assert send() == 200
            with running.reload():
                secret.write_text("two", encoding="utf-8")
            assert send() == 200
            with running.reload():
                configure(second)
            assert send() == 200
            with running.reload("failure"):
                configure(first, url="http://169.254.169.254/")
            assert send() == 200
    tokens = [request.header("authorization") for request in first.arrived]
    assert tokens == ["Bearer one", "Bearer two"]
    assert len(second.arrived) == 2


def test_a_start_without_grants_says_who_everybody_is(setup: Setup) -> None:
    setup.configure()
    (said,) = [line for line in warnings(read_bundle(setup.file)) if line.startswith("no grants")]
    assert said.endswith("the grant that is charged")
    setup.configure(servers={"s": {"policy": "p", "upstream": {"url": "http://127.0.0.1:9/mcp"}}})
    (said,) = [line for line in warnings(read_bundle(setup.file)) if line.startswith("no grants")]
    assert said.endswith("the grant that is charged; at the gateway everybody is `anonymous`")


def test_clients_may_come_by_the_host_of_the_public_url(setup: Setup) -> None:
    def configure(url: str) -> None:
        setup.configure(gateway={"public_url": url})

    setup.configure()
    with setup.serving() as running:

        def status(host: str) -> int:
            found = httpx.get(f"http://{running.address}/.well-known/none", headers={"host": host}, timeout=20)
            return found.status_code

        assert [status("localhost"), status("callgate.example.com")] == [404, 403]
        with running.reload("failure"):
            configure("https://callgate.example.com")
        assert "the host of `gateway.public_url`" in running.get("/readyz")
    with setup.serving() as running:
        assert status("callgate.example.com") == 404
        assert status("callgate.example.com:8443") == 404
        assert status("other.example.com") == 403
        with running.reload():
            configure("http://callgate.example.com:8443")
        with running.reload("failure"):
            configure("https://other.example.com")
        assert status("callgate.example.com") == 404


NO_NAMES = ["a/b", "a\\b", "a;b", "a%62", "a?b", "a#b", "a\tb", "a\x7f", ".", ".."]


@pytest.mark.parametrize("name", NO_NAMES)
def test_names_that_no_address_carries_are_refused(setup: Setup, name: str) -> None:
    """Such a name is refused only with an upstream, because only then it is a part of an address."""
    setup.configure(servers={name: {"policy": "p"}})
    check(read_bundle(setup.file))
    setup.configure(servers={name: {"policy": "p", "upstream": {"url": "http://127.0.0.1:9/mcp"}}})
    with pytest.raises(InvalidConfigError, match="cannot stand in the address `/mcp/<name>`; expected one without"):
        check(read_bundle(setup.file))


def test_the_gateway_reads_the_names_that_are_taken_and_no_others(setup: Setup) -> None:
    names = ["a b", "größe", "...", "a.b", "a:b@c", "~!$&'()*+,=[]{}|^`\"<>", "東京"]
    with keeping_upstream() as kept:
        upstream = {"url": f"http://127.0.0.1:{kept.port}/mcp", "probe": False}
        setup.configure(servers={name: {"policy": "p", "upstream": upstream} for name in names})
        setup.write("p.json", POLICY)
        # The library takes every name: it may have other doors.
        others = dict.fromkeys(NO_NAMES, upstream)
        with (
            setup.serving() as running,
            Server(Engine.from_json(json.dumps(POLICY)), gateway={"servers": others}) as server,
        ):
            reached = [post(running.address, name) for name in names]
            missed = [post(str(server.address), name) for name in NO_NAMES]
    assert reached == [200] * len(names)
    assert 200 not in missed
    assert len(kept.arrived) == len(names)


def post(address: str, server: str) -> int:
    """The status of a call, under the address that the greeting shows."""
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        fields = {"content-type": "application/json"}
        connection.request("POST", f"/mcp/{quote(server, safe='')}", json.dumps(CALL), fields)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_name_on_the_command_line_is_held_against_the_same(setup: Setup) -> None:
    words = ["--upstream", "a/b=http://127.0.0.1:9/mcp", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    said = refused("serve", "--policy", setup.folder / "p.json", *words)
    assert said.startswith("--upstream: the name `a/b` cannot stand in the address")


@pytest.mark.parametrize(
    ("listen", "url", "hosts", "served"),
    [
        ("127.0.0.1:0", "https://a.example", [], ["a.example"]),
        ("127.0.0.1:0", "http://a.example:80", ["b.example"], ["b.example", "a.example"]),
        ("[::1]:0", "http://[fd00::1]:80", [], ["[fd00::1]"]),
        ("127.0.0.1:0", "http://[fd00::1]", [], ["[fd00::1]"]),
        ("127.0.0.1:0", "http://localhost:9191", [], []),
        ("127.0.0.1:0", "http://[::1]:9191", [], []),
        ("127.0.0.1:0", None, ["b.example"], ["b.example"]),
        # A list of one would shut out those who come by other names, none of which are known.
        ("0.0.0.0:0", "https://a.example", [], []),
        ("0.0.0.0:0", "https://a.example", ["b.example"], ["b.example", "a.example"]),
        (None, "https://a.example", ["b.example"], ["b.example"]),
    ],
)
def test_hosts_that_requests_may_name(
    setup: Setup, listen: str | None, url: str | None, hosts: list[str], served: list[str]
) -> None:
    setup.configure(allowed_hosts=hosts, gateway={"public_url": url})
    config = load(setup.file, {("listen",): Option("--listen", listen)}).config
    assert served_hosts(config) == served


@pytest.mark.parametrize(
    ("written", "seconds"), [("0s", 0), ("90m", 5400), ("30d", 30 * 86400), ("31d", None), ("-1s", None), (5, None)]
)
def test_how_long_first_lists_are_accepted(setup: Setup, written: object, seconds: int | None) -> None:
    setup.write("p.json", POLICY)
    setup.configure(
        servers={"s": {"policy": "p", "upstream": {"url": "http://127.0.0.1:9/mcp"}}},
        policies={"p": "p.json"},
        pinning={"first_lists": written},
    )
    if seconds is None:
        with pytest.raises(InvalidConfigError, match=r"pinning\.first_lists"):
            read_bundle(setup.file)
    else:
        assert read_bundle(setup.file).gateway()["first_lists_s"] == seconds
