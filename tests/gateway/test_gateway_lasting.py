"""Streams that are open when their caller is locked out, or runs out of time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from callgate import Engine, ManualClock, Server
from callgate._callgate import hash_token
from support.gateway.issuers import ISSUER, PUBLIC_URL, Key, bearing, ec_key, jwks
from support.http_server import Handler, serving
from support.proxies.policies import POLICY
from support.setup import KEY, Setup, until

TOKENS = {"alice": "cgt_alice", "bob": "cgt_bob"}
EVENT = 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "open", "arguments": {}}}
LISTEN = {"jsonrpc": "2.0", "id": 2, "method": "subscriptions/listen", "params": {}}


@dataclass
class Streams:
    """A server that answers everything by a stream, which goes on when it is told."""

    port: int = 0
    goes_on: threading.Event = field(default_factory=threading.Event)
    noisy: bool = False
    """True if the stream never pauses."""


@contextmanager
def streams(*, noisy: bool = False) -> Iterator[Streams]:
    """Serves until the end."""
    made = Streams(noisy=noisy)

    class Opens(Handler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self.stream(EVENT)

        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            result = {"content": [{"type": "text", "text": "done"}]}
            self.stream("data: " + json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}))

        def stream(self, data: str) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b": open\n\n")
            while not made.goes_on.wait(0.05 if made.noisy else 30):
                self.wfile.write(b": noise\n\n")
            self.wfile.write(f"{data}\n\n".encode())

    try:
        with serving(Opens) as made.port:
            yield made
    finally:
        made.goes_on.set()


@contextmanager
def opened(url: str, token: str, message: object = None) -> Iterator[Iterator[str]]:
    """The lines of a stream, which is open: by GET, or in answer to a message."""
    sent = {**bearing(token), "accept": "application/json, text/event-stream"}
    with httpx.stream("GET" if message is None else "POST", url, json=message, headers=sent, timeout=30) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        assert next(lines) == ": open"
        yield lines


def grant(name: str, **further: Any) -> dict[str, Any]:
    """The configuration of a grant."""
    return {"id": name, "server": "s", "policy": "p", "token_hash": hash_token(KEY, TOKENS[name]), **further}


def configure(setup: Setup, port: int, **further: Any) -> None:
    server = {"policy": "p", "upstream": {"url": f"http://127.0.0.1:{port}/mcp", "pinning": "off"}}
    setup.write("p.json", POLICY)
    setup.configure(servers={"s": server}, policies={"p": "p.json"}, **further)


def revoked(setup: Setup, port: int) -> None:
    configure(setup, port, grants=[grant("alice", revoked=True), grant("bob")])


def removed(setup: Setup, port: int) -> None:
    configure(setup, port, grants=[grant("bob")])


def renewed(setup: Setup, port: int) -> None:
    configure(setup, port, grants=[grant("alice", token_hash=hash_token(KEY, "cgt_another")), grant("bob")])


@pytest.mark.parametrize("lock_out", [revoked, removed, renewed])
@pytest.mark.parametrize("message", [None, CALL], ids=["stream", "call"])
@pytest.mark.parametrize("noisy", [False, True])
def test_a_stream_ends_with_the_grant(
    tmp_path: Path, lock_out: Callable[[Setup, int], None], message: object, noisy: bool
) -> None:
    setup = Setup(tmp_path)
    with streams(noisy=noisy) as server:
        configure(setup, server.port, grants=[grant("alice"), grant("bob")])
        with setup.serving() as running:
            url = f"http://{running.address}/mcp/s"
            with opened(url, TOKENS["alice"], message) as of_alice, opened(url, TOKENS["bob"]) as of_bob:
                with running.reload():
                    lock_out(setup, server.port)
                assert [line for line in of_alice if line not in {"", ": noise"}] == [], "it ends by itself"
                server.goes_on.set()
                assert EVENT in of_bob, "and nobody else's does"


@pytest.mark.parametrize("lock_out", [revoked, removed])
def test_a_reply_ends_with_the_grant_though_its_token_has_ended_before(
    tmp_path: Path, lock_out: Callable[[Setup, int], None]
) -> None:
    setup = Setup(tmp_path)
    with streams() as server:
        end = datetime.now(timezone.utc) + timedelta(seconds=6)
        old = {"hash": hash_token(KEY, TOKENS["alice"]), "until": end.isoformat()}
        rotated = {"id": "alice", "server": "s", "policy": "p", "tokens": [old, {"hash": hash_token(KEY, "cgt_new")}]}
        configure(setup, server.port, grants=[rotated, grant("bob")])
        with setup.serving() as running:
            url = f"http://{running.address}/mcp/s"
            with opened(url, TOKENS["alice"], CALL) as of_alice:
                until(lambda: httpx.get(url, headers=bearing(TOKENS["alice"]), timeout=30).status_code == 401)
                with running.reload():
                    lock_out(setup, server.port)
                assert [line for line in of_alice if line] == [], "it ends by itself"


def test_a_stream_ends_with_its_issuer(tmp_path: Path) -> None:
    setup, key = Setup(tmp_path), ec_key("1")
    setup.write("jwks.json", jwks(key))

    def gateway(**further: Any) -> dict[str, Any]:
        return {"public_url": PUBLIC_URL, "oauth": {"issuer": ISSUER, "jwks": {"file": "jwks.json"}, **further}}

    with streams() as server:
        configure(setup, server.port, gateway=gateway(), grants=[])
        with setup.serving() as running:
            url = f"http://{running.address}/mcp/s"
            with opened(url, key.token("alice")) as of_alice, opened(url, key.token("bob")) as of_bob:
                with running.reload():
                    locked_out = {"id": "alice", "server": "s", "policy": "p", "revoked": True}
                    configure(setup, server.port, gateway=gateway(), grants=[locked_out])
                assert list(of_alice) == [""]
                with running.reload():
                    configure(setup, server.port, gateway={"public_url": PUBLIC_URL})
                assert list(of_bob) == [""]


def of_token(key: Key) -> tuple[dict[str, Any], dict[str, Any], str]:
    oauth = {
        "issuer": ISSUER,
        "jwks": json.dumps(jwks(key)).encode(),
        "algorithms": ["ES256"],
        "grant": ["sub"],
        "clock_skew_ms": 0,
    }
    return {}, {"public_url": PUBLIC_URL, "oauth": oauth}, key.token(exp=1_800_000_060)


def of_grant(_: Key) -> tuple[dict[str, Any], dict[str, Any], str]:
    expiring = grant("alice", expires_at_us=1_800_000_060_000_000, labels={})
    return {"grants": [expiring], "grant_key": KEY}, {}, TOKENS["alice"]


def of_old_token(_: Key) -> tuple[dict[str, Any], dict[str, Any], str]:
    old = {"hash": hash_token(KEY, TOKENS["alice"]), "until_us": 1_800_000_060_000_000}
    rotated = {"id": "alice", "server": "s", "policy": "p", "tokens": [old, {"hash": hash_token(KEY, "cgt_another")}]}
    return {"grants": [rotated], "grant_key": KEY}, {}, TOKENS["alice"]


@pytest.mark.parametrize("expiring", [of_token, of_grant, of_old_token])
def test_a_stream_ends_when_its_caller_s_time_is_over_and_an_answer_does_not(
    expiring: Callable[[Key], tuple[dict[str, Any], dict[str, Any], str]],
) -> None:
    clock = ManualClock(1_800_000_000_000)
    engine_keywords, gateway, token = expiring(ec_key("1"))
    policies = {"p": ("p.json", json.dumps(POLICY).encode())}
    engine = Engine.from_config(policies=policies, servers={"s": "p"}, **engine_keywords)
    with streams() as server:
        behind = {"s": {"url": f"http://127.0.0.1:{server.port}/mcp", "pinning": "off"}}
        with Server(engine, clock=clock, gateway={**gateway, "servers": behind}, grace_ms=0) as running:
            url = f"http://{running.address}/mcp/s"
            with (
                opened(url, token) as by_get,
                opened(url, token, LISTEN) as by_listening,
                opened(url, token, CALL) as of_call,
            ):
                clock.advance(60_000)
                assert list(by_get) == list(by_listening) == [""]
                server.goes_on.set()
                assert any('"done"' in line for line in of_call), "what was asked in time is answered"
