"""Messages without a judgement pass the gateway unchanged, byte for byte."""

from __future__ import annotations

import http.client
from contextlib import ExitStack, closing, nullcontext, suppress
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from support.gateway.clients import HANDSHAKES
from support.gateway.facts import SERVERS
from support.gateway.faulty import faulty_server
from support.gateway.matrix import HANDSHAKE, cases
from support.gateway.plain import plain_proxy
from support.gateway.running import gateway
from support.gateway.transcript import Transcript, differences
from support.gateway.wire import Wire
from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.gateway.facts import Facts
    from support.gateway.faulty import Connection, Request
    from support.gateway.scenarios import Scenario

EVERY_TOOL = {"version": "1", "name": "example", "default": "allow"}


@pytest.fixture(scope="module")
def direct() -> Iterator[Callable[[str], str]]:
    """The address of a server by its name; each is started when it is first asked for."""
    with ExitStack() as stack:
        running: dict[str, str] = {}

        def address(server: str) -> str:
            if server not in running:
                running[server] = stack.enter_context(SERVERS[server].start())
            return running[server]

        yield address


@pytest.fixture(scope="module", params=["nginx", "callgate"])
def through(
    request: pytest.FixtureRequest, direct: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """The address of the same server behind a proxy: what nginx cannot pass on, nobody can be asked to."""
    with ExitStack() as stack:
        running: dict[str, str] = {}

        def gated(url: str) -> str:
            # Clients of different versions are shown different forms of some tools, and one method is nobody's.
            servers = {"s": {"url": url, "pinning": "off"}}
            methods = {"methods": {"allow": ["no/such/method"]}}
            folder = tmp_path_factory.mktemp("gateway")
            return stack.enter_context(gateway(folder, servers, EVERY_TOOL, gateway=methods)).url("s")

        def address(server: str) -> str:
            if server not in running:
                url = direct(server)
                behind = gated(url) if request.param == "callgate" else stack.enter_context(plain_proxy(url))
                running[server] = behind
            return running[server]

        yield address


def transcript(url: str, version: str, scenario: Scenario, facts: Facts, patience_s: float = PATIENCE_S) -> Transcript:
    with Wire(url, version, patience_s=patience_s) as wire:
        scenario(wire, facts)
    return wire.transcript


@pytest.fixture(scope="module")
def directly(direct: Callable[[str], str]) -> Callable[[str, str, Scenario], Transcript]:
    """The transcript of a scenario without a proxy; each runs once, and both proxies are compared with it."""

    @cache
    def of(server: str, version: str, scenario: Scenario) -> Transcript:
        return transcript(direct(server), version, scenario, SERVERS[server].facts)

    return of


@pytest.mark.parametrize(("server", "version", "scenario"), cases())
def test_the_same_as_directly(
    directly: Callable[[str, str, Scenario], Transcript],
    through: Callable[[str], str],
    server: str,
    version: str,
    scenario: Scenario,
) -> None:
    first = directly(server, version, scenario)
    second = transcript(through(server), version, scenario, SERVERS[server].facts)
    assert len(first.lines()) > 3
    different = differences(first, second)
    assert not different, different


SPOILED = {
    "a message is changed": ("lists", "sub_filter_types *; sub_filter Adds Subtracts;", None, "+", "Subtracts"),
    "a header is lost": ("calls", "proxy_hide_header mcp-session-id;", KeyError, "-", "< mcp-session-id: "),
    "a header is added": ("calls", "add_header cache-control no-store;", None, "+", "< cache-control: no-store"),
    "what was seen is lost": (
        "broken off",
        "proxy_set_header last-event-id '';",
        TimeoutError,
        "-",
        "through the gate",
    ),
    "a method is refused": ("ended", "limit_except GET POST { deny all; }", AssertionError, "+", "< 403"),
}
"""Each with the failure that ends the scenario, if one does, and a part of a line that is there (+) or missing (-)."""


@pytest.mark.parametrize(("scenario", "directive", "failure", "sign", "part"), SPOILED.values(), ids=SPOILED)
def test_what_is_spoiled_on_the_way_is_told(
    direct: Callable[[str], str], scenario: str, directive: str, failure: type[Exception] | None, sign: str, part: str
) -> None:
    run, facts = HANDSHAKE[scenario][0], SERVERS["sdk"].facts
    first = transcript(direct("sdk"), HANDSHAKES[-1], run, facts)
    with plain_proxy(direct("sdk"), directive) as spoiling, Wire(spoiling, HANDSHAKES[-1], patience_s=1.0) as wire:
        with pytest.raises(failure) if failure is not None else nullcontext():
            run(wire, facts)
        different = differences(first, wire.transcript)
    assert any(line.startswith(sign) and part in line for line in different.split("\n")), different


def test_a_stream_that_is_held_back_is_told(direct: Callable[[str], str]) -> None:
    def whole(connection: Connection, request: Request) -> None:
        url = urlsplit(direct("sdk"))
        upstream = http.client.HTTPConnection(url.hostname or "", url.port, timeout=2.0)
        with closing(upstream), suppress(TimeoutError):
            upstream.request(request.method, url.path, request.body, dict(request.headers))
            with upstream.getresponse() as answer:
                headers = {name.lower(): value for name, value in answer.getheaders()}
                headers.pop("transfer-encoding", None)
                connection.answer(answer.status, answer.read(), headers)
        connection.close()

    facts = SERVERS["sdk"].facts
    asked = ("initialize", "notifications/initialized", "tools/call")
    with faulty_server(dict.fromkeys(asked, whole)) as holding:
        transcripts = [
            transcript(url, HANDSHAKES[-1], HANDSHAKE["progress"][0], facts) for url in (direct("sdk"), holding.url)
        ]
        assert not differences(*transcripts), "what comes late and whole looks alike"
        with pytest.raises(TimeoutError):
            transcript(holding.url, HANDSHAKES[-1], HANDSHAKE["streamed"][0], facts, patience_s=1.0)
