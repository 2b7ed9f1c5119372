"""Servers over TLS: whose certificates are believed, what is told where they are not, and changes while it runs."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from support.gateway.faulty import EVENTS, JSON
from support.gateway.secure import secure_server
from support.proxies.envoy import PATIENCE_S
from support.setup import Running, Setup

if TYPE_CHECKING:
    from pathlib import Path

POLICY = {
    "version": "1",
    "name": "p",
    "default": "allow",
    "tools": {"once": {"limits": [{"counter": "c", "window": "day", "max": 1}]}},
}
REFUSED = "could not prove to be the server, so nothing was done"


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    setup = Setup(tmp_path)
    setup.write("p.json", POLICY)
    return setup


def configure(setup: Setup, url: str, *authorities: trustme.CA, **further: Any) -> None:
    """A configuration that believes these authorities."""
    believe(setup, *authorities)
    # No probes: tests count what reaches the server.
    upstream = {"url": url, "ca": "ca.pem", "probe": False, **further}
    setup.configure(servers={"s": {"policy": "p", "upstream": upstream}})


def believe(setup: Setup, *authorities: trustme.CA) -> None:
    """Puts these certificates into the file that the configuration names."""
    setup.write("ca.pem", b"".join(authority.cert_pem.bytes() for authority in authorities).decode())


def request(running: Running, tool: str) -> dict[str, Any]:
    """The request of a tool call."""
    message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    return {"url": f"http://{running.address}/mcp/s", "json": message, "headers": {"accept": f"{JSON}, {EVENTS}"}}


def called(running: Running, tool: str = "open") -> str:
    """The text of a call's result."""
    result = httpx.post(**request(running, tool), timeout=PATIENCE_S).json()["result"]
    text: str = result["content"][0]["text"]
    assert result["isError"] == (text != "done")
    return text


def failures(running: Running, kind: str) -> int:
    """The count of failures of a kind."""
    name = f'callgate_upstream_failures_total{{kind="{kind}",server="s"}} '
    [line] = [line for line in running.get("/metrics").splitlines() if line.startswith(name)]
    return int(float(line[len(name) :]))


def test_authorities_change_while_it_runs(setup: Setup) -> None:
    old, new = trustme.CA(), trustme.CA()
    with secure_server(old.issue_cert("localhost")) as server:
        configure(setup, server.url(), old)
        with setup.serving() as running:
            assert called(running) == "done"
            server.show(new.issue_cert("localhost"))
            assert REFUSED in called(running, "once")
            assert failures(running, "untrusted") == 1
            # Both for a while, as one does it where servers are many.
            with running.reload():
                believe(setup, old, new)
            assert called(running, "once") == "done", "its unit had been given back"
            with running.reload():
                believe(setup, new)
            assert called(running) == "done"
            server.show(old.issue_cert("localhost"))
            assert REFUSED in called(running)
            assert failures(running, "untrusted") == 2
            log = running.stop()
    told = [line["error"] for line in log if line["event"] == "upstream_failed"]
    assert told == ["the server's certificate is not trusted: it is of no authority that is trusted; check `ca`"] * 2


def test_authorities_that_cannot_be_read_change_nothing(setup: Setup) -> None:
    authority = trustme.CA()
    with secure_server(authority.issue_cert("localhost")) as server:
        configure(setup, server.url(), authority)
        with setup.serving() as running:
            with running.reload("failure"):
                setup.write("ca.pem", "no certificate")
            assert "server `s`: `ca`" in running.get("/readyz")
            assert called(running) == "done"


@pytest.mark.parametrize("case", ["another host", "expired", "not yet valid", "an address", "the system's authorities"])
def test_certificates_that_are_not_believed(setup: Setup, case: str) -> None:
    authority, now = trustme.CA(), datetime.now(timezone.utc)
    certificate, reason = {
        "another host": (authority.issue_cert("other.example"), "it is for another host than that of `url`"),
        "expired": (
            authority.issue_cert("localhost", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)),
            "it has expired",
        ),
        "not yet valid": (
            authority.issue_cert("localhost", not_before=now + timedelta(days=1), not_after=now + timedelta(days=9)),
            "it is not valid yet",
        ),
        "an address": (authority.issue_cert("localhost"), "it is for another host"),
        "the system's authorities": (authority.issue_cert("localhost"), "of no authority that is trusted"),
    }[case]
    with secure_server(certificate) as server:
        configure(setup, server.url("127.0.0.1" if case == "an address" else "localhost"), authority)
        if case == "the system's authorities":
            setup.configure(servers={"s": {"policy": "p", "upstream": {"url": server.url()}}})
        with setup.serving() as running:
            assert REFUSED in called(running)
            log = running.stop()
    assert server.authorizations == [], "nothing was sent"
    [told] = [line["error"] for line in log if line["event"] == "upstream_failed"]
    assert reason in told


def test_a_secret_changes_under_a_stream(setup: Setup) -> None:
    authority = trustme.CA()
    setup.write("secret", "one\n")
    headers = {"authorization": {"file": "secret", "prefix": "Bearer "}}
    with secure_server(authority.issue_cert("localhost")) as server:
        configure(setup, server.url(), authority, headers=headers)
        with setup.serving() as running, httpx.Client(timeout=PATIENCE_S) as client:
            with client.stream("POST", **request(running, "watch")) as stream:
                pieces = stream.iter_raw()
                assert b"notifications/message" in next(pieces)
                assert called(running) == "done"
                with running.reload():
                    setup.write("secret", "two\n")
                assert called(running) == "done"
                assert open_requests(running) == 1, "the stream goes on, and counts"
                server.let_go.set()
                assert b'"done"' in b"".join(pieces)
            assert server.authorizations == ["Bearer one", "Bearer one", "Bearer two"]
            log = running.stop()
    assert not any("one" in str(line.values()) or "two" in str(line.values()) for line in log)


def open_requests(running: Running) -> int:
    """Requests open at the server."""
    name = 'callgate_upstream_requests{server="s"} '
    [line] = [line for line in running.get("/metrics").splitlines() if line.startswith(name)]
    return int(float(line[len(name) :]))


def test_a_handshake_takes_no_longer_than_a_connection_may(setup: Setup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configure(setup, f"https://localhost:{silent.getsockname()[1]}/mcp", trustme.CA(), connect_timeout="700ms")
        with setup.serving() as running:
            for _ in range(2):
                assert "cannot be reached, so nothing was done" in called(running, "once"), "its unit is given back"
            assert failures(running, "unreachable") == 2
            log = running.stop()
    told = [line["error"] for line in log if line["event"] == "upstream_failed"]
    assert len(told) == 2
    assert "no connection within 700 ms" in told[0]
