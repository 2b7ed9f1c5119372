"""What passes unjudged: the same through the gateway as directly, byte for byte."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from gateway.clients import MODERN
from gateway.facts import SERVERS
from gateway.scenarios import HANDSHAKE, MODERN_SCENARIOS, SINCE
from gateway.transcript import Transcript, differences
from gateway.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.facts import Facts
    from gateway.scenarios import Scenario


def cases() -> Iterator[object]:
    """Every scenario with every server that has what it needs."""
    for server, kind in SERVERS.items():
        for version in kind.versions:
            for name, (scenario, needs) in (MODERN_SCENARIOS if version == MODERN else HANDSHAKE).items():
                if needs(kind.facts) and version >= SINCE.get(name, version):
                    yield pytest.param(server, version, scenario, id=f"{server}-{version}-{name}")


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


@pytest.fixture(scope="module")
def through(direct: Callable[[str], str]) -> Callable[[str], str]:
    """The address of the same server for those who are to be compared with its own clients."""
    return direct


def transcript(url: str, version: str, scenario: Scenario, facts: Facts) -> Transcript:
    with Wire(url, version) as wire:
        scenario(wire, facts)
    return wire.transcript


@pytest.mark.parametrize(("server", "version", "scenario"), list(cases()))
def test_the_same_as_directly(
    direct: Callable[[str], str], through: Callable[[str], str], server: str, version: str, scenario: Scenario
) -> None:
    facts = SERVERS[server].facts
    first = transcript(direct(server), version, scenario, facts)
    second = transcript(through(server), version, scenario, facts)
    assert len(first.lines()) > 3
    different = differences(first, second)
    assert not different, different
