"""Servers that answer with redirects: a call is sent once for the unit that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway import faults
from support.gateway.faulty import EVENTS, JSON, faulty_server, properly
from support.gateway.running import gateway
from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.gateway.faulty import Connection, Fault, Faulty, Request
    from support.gateway.running import Gateway

CAPPED = {
    "version": "1",
    "name": "capped",
    "default": "deny",
    "tools": {"open": {"limits": [{"counter": "calls", "window": "hour", "max": 2}]}},
}
LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "open", "arguments": {}}}


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with faulty_server() as faulty:
        yield faulty


def post(running: Gateway, message: dict[str, Any]) -> str:
    """The answer."""
    accept = {"accept": f"{JSON}, {EVENTS}"}
    return httpx.post(running.url("s"), json=message, headers=accept, timeout=PATIENCE_S).text


def there_and_back(connection: Connection, request: Request) -> None:
    """Leads to another path, and from there back."""
    location = "/mcp" if request.target == "/other" else "/other"
    faults.redirect(location)(connection, request)


def led_on(connection: Connection, request: Request) -> None:
    """Answers at `/mcp/`, and leads there, as servers do that tell the two paths apart."""
    answer = properly if request.target == "/mcp/" else faults.redirect("/mcp/")
    answer(connection, request)


@pytest.mark.parametrize("fault", [faults.redirect("/mcp"), faults.redirect("/mcp", 308), there_and_back])
def test_a_call_is_sent_once_for_its_unit(tmp_path: Path, faulty: Faulty, fault: Fault) -> None:
    faulty.on("tools/call", fault)
    with gateway(tmp_path, {"s": faulty.url}, CAPPED) as running:
        for sent in (1, 2):
            assert "refused" in post(running, CALL)
            assert len(faulty.asked("tools/call")) == sent
        assert "rate_limited" in post(running, CALL)
    assert len(faulty.asked("tools/call")) == 2


def test_calls_go_where_other_requests_were_led(tmp_path: Path, faulty: Faulty) -> None:
    for asks in ("tools/list", "tools/call"):
        faulty.on(asks, led_on)
    with gateway(tmp_path, {"s": faulty.url}, CAPPED) as running:
        assert '"open"' in post(running, LIST)
        assert "open done" in post(running, CALL)
        # Nothing is there any more: the next call asks where it was configured.
        faulty.on("tools/call", faults.says(404))
        post(running, CALL)
    targets = [request.target for request in faulty.asked("tools/call")]
    assert targets == ["/mcp/", "/mcp/"]


def test_a_call_that_comes_first_shows_the_way_to_the_next(tmp_path: Path, faulty: Faulty) -> None:
    faulty.on("tools/call", led_on)
    with gateway(tmp_path, {"s": faulty.url}, CAPPED) as running:
        assert "refused" in post(running, CALL)
        assert "open done" in post(running, CALL)
    assert [request.target for request in faulty.asked("tools/call")] == ["/mcp", "/mcp/"]


def test_what_takes_no_units_is_led_on(tmp_path: Path, faulty: Faulty) -> None:
    faulty.on("tools/list", led_on)
    with gateway(tmp_path, {"s": faulty.url}, CAPPED) as running:
        assert '"open"' in post(running, LIST)
        faulty.on("tools/list", faults.redirect("/mcp"))
        assert "refused" in post(running, LIST)
    assert len(faulty.asked("tools/list")) == 3
