"""Servers over HTTP: those that do not behave, and what is sent to them."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trustme

from callgate.workbench.scan.http import Events
from callgate.workbench.scan.listing import list_servers
from callgate.workbench.scan.target import Bounds, HttpTarget
from support.gateway.environments import SDK, bare_environment, needed
from support.gateway.servers import listening
from support.http_server import serving
from support.ports import free_port
from support.scan.hostile import PROGRAM
from support.scan.web import Server, server

if TYPE_CHECKING:
    from callgate.workbench.scan.listing import Listing

BOUNDS = Bounds(seconds=20.0)


def listed(handler: type[Server], bounds: Bounds = BOUNDS, **headers: str) -> Listing:
    with serving(handler) as port:
        (listing,) = list_servers([HttpTarget("small", f"http://127.0.0.1:{port}/mcp", headers)], bounds)
    return listing


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("401", "it wants authentication (HTTP 401)"),
        ("404", "it answers with HTTP 404, so this is no endpoint of MCP"),
        ("429", "it answers with HTTP 429, so it may be down or busy"),
        ("500", "it answers with HTTP 500, so it may be down or busy"),
        ("gzip", "it compressed its reply"),
        ("large", "a message larger than 1 MiB"),
        ("endless", "a message larger than 1 MiB"),
        ("bad", "a key stands twice in one object"),
        ("no-json", "it answers with error -32700"),
        ("away", "not follow"),
        ("html", "content type"),
    ],
)
def test_a_bad_server_is_a_failure_with_its_reason(mode: str, reason: str) -> None:
    listing = listed(server(mode), replace(BOUNDS, message_bytes=1 << 20))
    assert listing.tools == []
    assert reason in str(listing.failure)
    assert "token=abc" not in str(listing.failure)


@pytest.mark.parametrize("mode", ["usual", "events"])
def test_a_server_is_listed_with_its_headers(mode: str) -> None:
    handler = server(mode)
    listing = listed(handler, authorization="Bearer s3cret")
    assert ([tool["name"] for tool in listing.tools], listing.failure) == (["fine"], None)
    assert (listing.title, listing.version, listing.protocol) == ("small", "1", "2025-11-25")
    assert all(seen["authorization"] == "Bearer s3cret" for seen in handler.seen)
    assert all(seen["accept-encoding"] == "identity" for seen in handler.seen)


def test_authorities_of_its_own() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(server("usual"), tls=context) as port:
        target = HttpTarget("small", f"https://127.0.0.1:{port}/mcp")
        untrusted, trusted = list_servers([target, replace(target, ca=authority.cert_pem.bytes())], BOUNDS)
    assert "certificate verify failed" in str(untrusted.failure)
    assert (trusted.failure, len(trusted.tools)) == (None, 1)


def test_a_server_of_the_older_transport_is_listed() -> None:
    needed(SDK)
    port = free_port()
    with listening([str(SDK), str(PROGRAM.with_name("sse_server.py")), str(port)], port, bare_environment()):
        (listing,) = list_servers([HttpTarget("older", f"http://127.0.0.1:{port}/sse")], BOUNDS)
    assert listing.failure is None
    assert ([tool["name"] for tool in listing.tools], listing.title, listing.version) == (["add"], "older", "7")
    assert listing.tools[0]["inputSchema"]["required"] == ["a", "b"]


def test_several_servers_do_not_wait_for_a_bad_one() -> None:
    ended = list[str]()
    with serving(server("usual")) as port:
        targets = [
            HttpTarget("dead", "http://127.0.0.1:9/mcp"),
            *(HttpTarget(f"n{number}", f"http://127.0.0.1:{port}/mcp") for number in range(20)),
        ]
        listings = list_servers(targets, BOUNDS, ended=lambda listing: ended.append(listing.target.name))
    assert [listing.target.name for listing in listings] == [target.name for target in targets]
    assert sorted(ended) == sorted(target.name for target in targets)
    assert [listing.failure is None for listing in listings] == [False, *[True] * 20]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_come_in_pieces_of_any_size(size: int) -> None:
    text = b"id: 1\r\ndata:\r\n\r\ndata: a\rdata: b\r\r: no\n\nevent: other\ndata: c\n\n"
    text += b"event:message\r\ndata:d: e\r\n\r\ndata: open"
    found = list[bytes]()
    events = Events(found.append)
    for start in range(0, len(text), size):
        events.feed(text[start : start + size])
    assert found == [b"a\nb", b"d: e"]
