"""Keys of an OAuth issuer: how they come, change and go while the gateway runs."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from callgate import Engine, ManualClock, Server
from support.gateway.issuers import ISSUER, PUBLIC_URL, Key, Publisher, bearing, ec_key, jwks, oauth, publisher
from support.gateway.oauth import CALL, file_of, send
from support.gateway.running import gateway
from support.http_server import Handler, serving
from support.proxies.policies import POLICY
from support.proxies.upstream import Upstream, keeping_upstream
from support.setup import Setup, until


def servers(upstream: Upstream) -> dict[str, str]:
    return {"s": f"http://127.0.0.1:{upstream.port}/mcp"}


@contextmanager
def trusting(folder: Path, key: Key) -> Iterator[tuple[Publisher, str]]:
    """An issuer that publishes a key, and the address of a server behind a gateway that fetches it."""
    with (
        keeping_upstream() as upstream,
        publisher(key) as published,
        gateway(folder, servers(upstream), gateway=oauth(jwks={"url": published.url})) as running,
    ):
        yield published, running.url("s")


def test_a_new_key_is_fetched_when_a_token_names_it(tmp_path: Path) -> None:
    first, second, third = ec_key("1"), ec_key("2"), ec_key("3")
    with trusting(tmp_path, first) as (published, url):
        assert send(url, first.token()).status_code == 200
        asked = len(published.asked)
        # Signed by a key that is not published (yet): asked for once, and not for each that comes.
        for number in range(20):
            refused = send(url, third.token(f"stranger-{number}"))
            assert refused.status_code == 401
            assert "none of the issuer's keys" in refused.headers["www-authenticate"]
        assert len(published.asked) <= asked + 1
        # What could not be good in any case is no reason to ask.
        assert send(url, second.token(iss="https://evil.example.com")).status_code == 401
        assert send(url, second.token(exp=1)).status_code == 401
        assert len(published.asked) <= asked + 1
        assert send(url, first.token()).status_code == 200


def test_a_rotation_is_followed_at_once(tmp_path: Path) -> None:
    first, second = ec_key("1"), ec_key("2")
    with trusting(tmp_path, first) as (published, url):
        until(lambda: published.asked)
        until(lambda: send(url, first.token()).status_code == 200)
        asked = len(published.asked)
        published.publish(second)
        assert send(url, second.token()).status_code == 200
        assert len(published.asked) == asked + 1
        withdrawn = send(url, first.token())
        assert withdrawn.status_code == 401
        assert len(published.asked) == asked + 1


def test_without_keys_nobody_is_told_that_a_token_is_bad(tmp_path: Path) -> None:
    key = ec_key("1")
    with (
        keeping_upstream() as upstream,
        publisher(key) as published,
    ):
        published.document = None
        with gateway(tmp_path, servers(upstream), gateway=oauth(jwks={"url": published.url})) as running:
            url = running.url("s")
            answer = send(url, key.token())
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
            assert "www-authenticate" not in answer.headers
            assert "issuer's keys cannot be had" in answer.text
            assert send(url, "no.token.at-all").status_code == 401
        assert upstream.arrived == []


def test_keys_outlive_the_server_that_published_them(tmp_path: Path) -> None:
    key, other = ec_key("1"), ec_key("2")
    with trusting(tmp_path, key) as (published, url):
        assert send(url, key.token()).status_code == 200
        published.document = None
        assert send(url, other.token()).status_code == 401
        assert send(url, key.token()).status_code == 200
        published.document = {"error": "maintenance"}
        assert send(url, key.token()).status_code == 200


def test_keys_come_over_tls_from_whom_the_file_names(tmp_path: Path) -> None:
    key, authority = ec_key("1"), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))

    class Keys(Handler):
        def do_GET(self) -> None:
            self.answer(200, "application/json", json.dumps(jwks(key)))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with keeping_upstream() as upstream, serving(Keys, tls=context) as port:
        for ca, status in (("ca.pem", 200), ("other.pem", 503)):
            at = {"url": f"https://127.0.0.1:{port}/jwks", "ca": ca}
            with gateway(tmp_path, servers(upstream), gateway=oauth(jwks=at)) as running:
                assert send(running.url("s"), key.token()).status_code == status


INSERTED = "/.well-known/oauth-authorization-server/realms/a"
APPENDED = "/realms/a/.well-known/openid-configuration"


@pytest.mark.parametrize("path", [INSERTED, APPENDED])
def test_keys_are_found_by_the_issuer_s_metadata(tmp_path: Path, path: str) -> None:
    first, second = ec_key("1"), ec_key("2")
    with keeping_upstream() as upstream, publisher(first) as published:
        published.describe(path)
        section = {"public_url": PUBLIC_URL, "oauth": {"issuer": published.issuer}}
        with gateway(tmp_path, servers(upstream), gateway=section) as running:
            url = running.url("s")
            assert send(url, first.token(iss=published.issuer)).status_code == 200
            assert send(url, first.token()).status_code == 401, "another issuer"
            published.publish(second)
            assert send(url, second.token(iss=published.issuer)).status_code == 200
            assert send(url, first.token(iss=published.issuer)).status_code == 401
            # Kept as keys of a URL are.
            published.documents.clear()
            assert send(url, second.token(iss=published.issuer)).status_code == 200


def test_metadata_that_cannot_be_believed_gives_no_keys(tmp_path: Path) -> None:
    key = ec_key("1")
    with keeping_upstream() as upstream, publisher(key) as published:
        section = {"public_url": PUBLIC_URL, "oauth": {"issuer": published.issuer}}
        for change in ({"issuer": published.issuer + "/"}, {"jwks_uri": "http://192.0.2.1/jwks.json"}):
            published.describe(INSERTED, **change)
            with gateway(tmp_path, servers(upstream), gateway=section) as running:
                answer = send(running.url("s"), key.token(iss=published.issuer))
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert "/jwks.json" not in published.asked


def test_metadata_comes_over_tls_from_whom_the_file_names(tmp_path: Path) -> None:
    key, authority = ec_key("1"), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))

    class Documents(Handler):
        def do_GET(self) -> None:
            issuer = f"https://{self.headers['host']}"
            metadata = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
            self.answer(200, "application/json", json.dumps(jwks(key) if self.path == "/keys" else metadata))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with keeping_upstream() as upstream, serving(Documents, tls=context) as port:
        issuer = f"https://127.0.0.1:{port}"
        for ca, status in (("ca.pem", 200), ("other.pem", 503)):
            section = {"public_url": PUBLIC_URL, "oauth": {"issuer": issuer, "jwks": {"ca": ca}}}
            with gateway(tmp_path, servers(upstream), gateway=section) as running:
                assert send(running.url("s"), key.token(iss=issuer)).status_code == status


def test_changes_take_effect_at_once(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.write("p.json", POLICY)
    first, second = ec_key("1"), ec_key("2")
    with keeping_upstream() as upstream:

        def configure(gateway: dict[str, Any], **further: Any) -> None:
            server = {"policy": "p", "upstream": {"url": f"http://127.0.0.1:{upstream.port}/mcp"}}
            setup.configure(servers={"s": server}, policies={"p": "p.json"}, gateway=gateway, **further)

        section = oauth(**file_of(tmp_path, first))
        configure(section)
        with setup.serving() as running:
            url = f"http://{running.address}/mcp/s"

            def statuses() -> list[int]:
                tokens = (None, first.token(), second.token(), first.token(iss="https://two.example.com"))
                return [send(url, token).status_code for token in tokens]

            assert statuses() == [401, 200, 401, 401]
            with running.reload():
                file_of(tmp_path, second)
            assert statuses() == [401, 401, 200, 401]
            with running.reload("failure"):
                (tmp_path / "jwks.json").write_text("{", encoding="utf-8")
            assert statuses() == [401, 401, 200, 401]
            with running.reload():
                file_of(tmp_path, first)
            with running.reload():
                section["oauth"]["issuer"] = "https://two.example.com"
                configure(section)
            assert statuses() == [401, 401, 401, 200]
            # Without grants, everybody would be let in.
            with running.reload("failure"):
                configure({"public_url": PUBLIC_URL})
            assert statuses() == [401, 401, 401, 200]
            with running.reload():
                configure({"public_url": PUBLIC_URL}, grants=[])
            assert statuses() == [401, 401, 401, 401]


def test_a_reload_keeps_keys_that_were_fetched(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.write("p.json", POLICY)
    key = ec_key("1")
    with keeping_upstream() as upstream, publisher(key) as published:

        def configure(max_requests: int, **further: Any) -> None:
            at = {"url": f"http://127.0.0.1:{upstream.port}/mcp", "max_requests": max_requests}
            server = {"policy": "p", "upstream": at}
            section = oauth(jwks={"url": published.url}, **further)
            setup.configure(servers={"s": server}, policies={"p": "p.json"}, gateway=section)

        configure(5)
        with setup.serving() as running:
            url = f"http://{running.address}/mcp/s"
            assert send(url, key.token()).status_code == 200
            published.document = None
            asked = len(published.asked)
            with running.reload():
                configure(7)
            assert send(url, key.token()).status_code == 200
            with running.reload():
                configure(7, scopes=["tools:call"])
            assert send(url, key.token()).status_code == 403
            assert send(url, key.token(scope="tools:call")).status_code == 200
            assert len(published.asked) == asked


@pytest.mark.parametrize("expires", [False, True])
def test_lists_in_a_stream_end_with_the_token(expires: bool) -> None:
    """A stream that is open goes on; what a list in it names is decided when it comes."""
    key, clock = ec_key("1"), ManualClock(1_800_000_000_000)
    released = threading.Event()
    listed = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "open", "inputSchema": {"type": "object"}}]}}

    class Lists(Handler):
        protocol_version = "HTTP/1.0"

        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if message["method"] != "tools/list":
                done = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}
                self.answer(200, "application/json", json.dumps(done))
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b": open\n\n")
            self.wfile.flush()
            released.wait(30)
            self.wfile.write(f"data: {json.dumps(listed)}\n\n".encode())

    with serving(Lists) as port:
        keywords = {
            "servers": {"s": {"url": f"http://127.0.0.1:{port}/mcp", "pinning": "off"}},
            "public_url": PUBLIC_URL,
            "oauth": {
                "issuer": ISSUER,
                "jwks": json.dumps(jwks(key)).encode(),
                "algorithms": ["ES256"],
                "grant": ["sub"],
                "clock_skew_ms": 30_000,
            },
        }
        with Server(Engine.from_dict(POLICY), clock=clock, gateway=keywords, grace_ms=0) as server:
            token = key.token(exp=1_800_000_060)
            sent = {**bearing(token), "accept": "application/json, text/event-stream"}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            url = f"http://{server.address}/mcp/s"
            with httpx.stream("POST", url, json=message, headers=sent, timeout=30) as answer:
                assert answer.status_code == 200
                lines = answer.iter_lines()
                assert next(lines) == ": open"
                if expires:
                    clock.advance(90_000)
                released.set()
                data = next(line for line in lines if line.startswith("data:"))
            assert httpx.post(url, json=CALL, headers=sent).status_code == (401 if expires else 200)
    names = [tool["name"] for tool in json.loads(data.removeprefix("data:"))["result"]["tools"]]
    assert names == ([] if expires else ["open"])
