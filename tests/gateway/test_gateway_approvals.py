"""Calls that need a person's approval, at the gateway and over `callgate connect`: a real client, server and person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.planes import wait_until
from support.proxies.people import RULE, add_approver, admits_one_call, gives_back
from support.proxies.ways import Way, at_gateway, connected

if TYPE_CHECKING:
    pass

WAYS = [Way("gateway", at_gateway), Way("connect", connected, None)]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_person_admits_one_call(tmp_path: Path, served: tuple[Path, int], way: Way) -> None:
    admits_one_call(way, tmp_path, *served)


def test_the_approval_of_a_call_that_reached_no_server_comes_back(tmp_path: Path) -> None:
    gives_back(WAYS[0], tmp_path, comes_back=True)


def test_what_nobody_who_approves_would_see_is_refused(tmp_path: Path, served: tuple[Path, int]) -> None:
    notes, port = served

    def rule(tool: str, **more: Any) -> str | None:
        answer = agent.send({"name": tool, "arguments": {"n": 1}, **more})
        return answer.headers.get("x-callgate-rule")

    add_approver(tmp_path / "state")
    with at_gateway(tmp_path, notes, port) as agent:
        wait_until(lambda: rule("risky") == RULE)
        assert rule("risky", _meta={"progressToken": 1}, task={"ttl": 1}) == RULE
        assert rule("risky", to="mallory") == "(invalid request)"
        answer = agent.send({"name": "risky", "arguments": {"n": 1}, "inputResponses": {}})
        assert "`params` have `inputResponses`, which nobody who approves would see" in str(answer.body)
        # A call that needs nobody passes as before.
        assert rule("open", to="mallory") is None
