"""The hostile requests through real proxies: what an upstream gets to see of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.proxies.forward import KINDS, Kind, forwarding
from support.proxies.hostile import CATALOGUE, Case, cases
from support.proxies.upstream import keeping_upstream, send_raw

OPEN = {"version": "1", "name": "open", "default": "allow"}
TOKEN = ("authorization", b"Bearer cgt_alice")
JSON = ("content-type", b"application/json")
FEWEST_SENT = 150


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_no_refused_request_arrives(tmp_path: Path, kind: Kind) -> None:
    sent: list[Case] = [case for case in cases() if can_carry(kind, case)]
    assert len(sent) >= FEWEST_SENT
    statuses: dict[int, int] = {}
    with (
        keeping_upstream() as upstream,
        forwarding(kind, tmp_path, upstream.port, policy=OPEN, catalogue=CATALOGUE) as (proxy, _),
    ):
        for index, case in enumerate(sent):
            headers = [TOKEN, JSON, ("x-case", str(index).encode()), *case.headers]
            statuses[index] = send_raw(proxy.address, "POST", "/mcp/aws", headers, case.body).status
    arrived = {int(request.header("x-case") or -1): request for request in upstream.arrived}
    wrong = [sent[index].name for index in arrived if not sent[index].passes and not is_mended(kind, sent[index])]
    assert wrong == []
    assert all(statuses[index] not in range(200, 300) or index in arrived for index in statuses)
    passed = [index for index, case in enumerate(sent) if case.passes]
    if kind.forwards_body:
        missing = [sent[index].name for index in passed if index not in arrived and sent[index].body is not None]
        assert missing == []
    for index, request in arrived.items():
        assert request.body == (sent[index].body or b"")


def can_carry(kind: Kind, case: Case) -> bool:
    """True if the request can carry the whole case: without the body, header fields cannot be checked against it."""
    return case.can_be_sent and not case.is_framed and (kind.forwards_body or case.body is None or not case.headers)


def is_mended(kind: Kind, case: Case) -> bool:
    """nginx drops header fields whose names have a `_` or `.`, before it asks and before the request goes on."""
    odd = [name for name, _ in case.headers if "_" in name or "." in name]
    return kind.name == "nginx" and odd != []
