"""Every hostile request through the gateway, as bytes: what is refused never reaches the server."""

from __future__ import annotations

from pathlib import Path

from support.gateway.running import gateway
from support.proxies.hostile import CATALOGUE, MARK, cases, send
from support.proxies.upstream import keeping_upstream

EVERY_TOOL = {"version": "1", "name": "example", "default": "allow"}


def test_none_of_the_refused_ones_reaches_the_server(tmp_path: Path) -> None:
    # Who calls is never said in a header of that name here.
    about_callers = [case for case in cases() if any(alike(name, "x-agent") for name, _ in case.headers)]
    numbered = [(n, case) for n, case in enumerate(cases()) if case.can_be_sent and case not in about_callers]
    assert len(numbered) >= 200
    with (
        keeping_upstream() as kept,
        gateway(
            tmp_path,
            {"srv": f"http://127.0.0.1:{kept.port}/mcp"},
            EVERY_TOOL,
            allowed_hosts=["mcp.example.com"],
            catalogue=str(CATALOGUE),
        ) as running,
    ):
        statuses = {number: send(running.address, case, number) for number, case in numbered}
    arrived = {int(request.header(MARK) or -1): request.body for request in kept.arrived}
    assert len(arrived) == len(kept.arrived), "each once, and nothing that no case is"

    for number, case in numbered:
        status = statuses[number]
        if case.passes and case.body is not None and not case.path:
            assert status == 200, (case.name, status)
            assert arrived[number] == case.body, case.name
        elif number in arrived:
            # A client's answer to its server calls nothing, and passes before 2026-07-28. Of a path nothing goes on.
            harmless = case.expect.get("refused") == "response" or case.expect.get("unless") == "/mcp/srv"
            assert case.passes or harmless, case.name
            assert arrived[number] == case.body, case.name
        else:
            assert status in {0, 200, 400, 403, 404, 408, 413, 421, 431}, (case.name, status)
    assert 1 <= len(about_callers) <= 5
    assert sum(case.passes and case.body is not None for _, case in numbered) >= 30


def alike(name: str, other: str) -> bool:
    """True if some servers treat both names as the same."""
    return name.lower().replace("_", "-").replace(".", "-") == other
