"""Calls that need a person's approval, behind Envoy: a real MCP client and server, and `callgate approvals approve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.proxies.forward import ENVOY_HTTP
from support.proxies.people import admits_one_call, asks_nobody, gives_back
from support.proxies.ways import Way, envoy, forward_auth

if TYPE_CHECKING:
    pass

WAYS = [
    Way("ext_authz over gRPC", envoy("ext-authz.yaml")),
    # Envoy gives the status of a denial to the client, which shows no body of a 403.
    Way("ext_authz over HTTP", forward_auth(ENVOY_HTTP), 403, "error"),
    Way("ext_proc", envoy("ext-proc.yaml")),
]
WITHOUT_ARGUMENTS = Way("MCP filter", envoy("mcp-filter.yaml", "callgate-mcp-filter.yaml"))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_person_admits_one_call(tmp_path: Path, served: tuple[Path, int], way: Way) -> None:
    admits_one_call(way, tmp_path, *served)


@pytest.mark.parametrize(("way", "comes_back"), [(WAYS[0], False), (WAYS[2], True)], ids=str)
def test_the_approval_of_a_call_that_reached_no_server(tmp_path: Path, way: Way, comes_back: bool) -> None:
    gives_back(way, tmp_path, comes_back=comes_back)


def test_where_arguments_are_not_seen_nobody_is_asked(tmp_path: Path, served: tuple[Path, int]) -> None:
    asks_nobody(WITHOUT_ARGUMENTS, tmp_path, *served)
