"""Calls that need a person's approval, at the gateway and over `callgate connect`: a real client, server and person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.proxies.mcp import noting_server
from support.proxies.people import admits_one_call, gives_back
from support.proxies.ways import Way, at_gateway, connected

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = [Way("gateway", at_gateway), Way("connect", connected, None)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The file of calls and the port of a server."""
    with noting_server(tmp_path_factory.mktemp("server")) as both:
        yield both


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_person_admits_one_call(tmp_path: Path, served: tuple[Path, int], way: Way) -> None:
    admits_one_call(way, tmp_path, *served)


def test_the_approval_of_a_call_that_reached_no_server_comes_back(tmp_path: Path) -> None:
    gives_back(WAYS[0], tmp_path, comes_back=True)
