"""Every hostile request through a real Envoy, as bytes: what is refused never reaches the upstream."""

from __future__ import annotations

from pathlib import Path

from support.proxies.guarded import guarded_server
from support.proxies.hostile import CATALOGUE, MARK, Case, cases, send
from support.proxies.upstream import keeping_upstream

EVERY_TOOL = {"version": "1", "name": "example", "default": "allow"}


def test_none_of_the_refused_ones_reaches_the_upstream(tmp_path: Path) -> None:
    numbered: list[tuple[int, Case]] = [(n, case) for n, case in enumerate(cases()) if case.can_be_sent]
    assert len(numbered) >= 200
    with (
        keeping_upstream() as kept,
        guarded_server(
            tmp_path, kept.port, policy=EVERY_TOOL, server="srv", catalogue=CATALOGUE, tool_errors=False
        ) as (proxy, _),
    ):
        statuses = {number: send(proxy.address, case, number) for number, case in numbered}
    arrived = {int(request.header(MARK) or -1): (request.path, request.body) for request in kept.arrived}
    assert len(arrived) == len(kept.arrived), "each once, and nothing that no case is"

    for number, case in numbered:
        status = statuses[number]
        if case.passes and case.body is not None:
            assert status == 200, (case.name, status)
            assert arrived[number][1] == case.body, case.name
        elif (normal := case.expect.get("unless")) and status == 200:
            # What was judged is the path that was forwarded, but for the server's name.
            assert arrived[number] == (normal.replace("/mcp/srv", "/mcp"), case.body), case.name
        else:
            assert status in {0, 400, 403, 413}, (case.name, status)
            assert number not in arrived, case.name
    assert sum(case.passes and case.body is not None for _, case in numbered) >= 30
