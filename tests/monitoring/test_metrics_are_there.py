"""Every metric and label that the rules and the dashboard name is on the page of a real sidecar."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from callgate.ledger.private import new_private_key, new_statement, pem_of
from support.http_server import Handler, serving
from support.monitoring import TARGET_LABELS, panels, queries, recorded, rules, samples, uses
from support.redis import running_redis
from support.setup import TIMEOUT_S, Setup, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.setup import Running

EXPRESSIONS = {
    **{rule.get("alert") or rule["record"]: [rule["expr"]] for rule in rules()},
    **{panel["title"]: queries(panel) for panel in panels() if panel["type"] != "row"},
}
OF_PROMETHEUS = {"up"}
"""Series that Prometheus makes itself."""

RATE_LIMITS = "domain: mcp\ndescriptors:\n- key: user\n  rate_limit: {unit: day, requests_per_unit: 2}\n"
SHOULD_RATE_LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"


def limit(counter: str, **more: Any) -> dict[str, Any]:
    return {"limits": [{"counter": counter, "window": "1h", "max": 1, **more}]}


POLICY = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "once": limit("once", shared="local"),
        "sessions": limit("sessions", shared="local", scope=["grant", "session"]),
        "leased": limit("leased", max=1_000_000),
        "risky": {"action": "require_approval"},
    },
}


class Server(Handler):
    """An MCP server behind the gateway, with one tool."""

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answers = {
            "server/discover": {"protocolVersions": ["2025-11-25"], "capabilities": {}},
            "tools/list": {"tools": [{"name": "once", "inputSchema": {"type": "object"}}]},
        }
        result = answers.get(message["method"], {})
        self.answer(200, "application/json", json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "result": result}))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The metrics of a sidecar that uses everything and has met every outcome that an expression asks for."""
    folder = tmp_path_factory.mktemp("metrics")
    setup = Setup(folder)
    setup.write("p.json", POLICY)
    setup.write("limits.yaml", RATE_LIMITS)
    (folder / "secret").write_text("whsec_" + "a" * 40)
    key = new_private_key()
    (folder / "audit.key").write_bytes(pem_of(key))
    now = datetime.now(timezone.utc)
    (folder / "audit.key.pub").write_text(new_statement(key, now, now + timedelta(days=1)).note)
    with running_redis(folder / "redis") as redis, serving(Server) as port:
        setup.configure(
            servers={"s": {"policy": "p", "candidate": "p", "upstream": {"url": f"http://127.0.0.1:{port}/mcp"}}},
            counters={"per_grant": 3, "shared": {"url": redis.url, "lease": "1s", "budget": "500ms"}},
            rate_limits=["limits.yaml"],
            audit={"path": "decisions.jsonl", "key_file": "audit.key"},
            # Nobody listens there, so that a notice waits.
            notices={"receivers": {"ops": {"url": "http://127.0.0.1:1/hook", "secret_files": ["secret"]}}},
            telemetry={"endpoint": "http://127.0.0.1:1", "timeout": "100ms"},
        )
        with setup.serving("--counters", f"file:{folder / 'counters'}") as running:
            yield exercised(running)


def exercised(running: Running) -> str:
    """Makes calls with every outcome; gives the page of metrics after them."""

    def rule(tool: str, session: str = "a", grant: str = "g") -> str:
        found: str = running.ask(server="s", tool=tool, grant=grant, session=session)[1]["rule"]
        return found

    until(lambda: rule("leased", grant="other") != "(counter store unavailable)")
    assert rule("once") == ""
    assert rule("once") == "/tools/once/limits/once"
    # Three counters of a grant are all that there may be.
    assert [rule("sessions", session) for session in "abc"] == ["", "", "(counter capacity)"]
    until(lambda: rule("risky") == "/tools/risky/approval")
    with grpc.insecure_channel(running.address) as channel:
        # `RateLimitRequest`: the domain, and one descriptor with one entry, user=ann.
        message = b"\x0a\x03mcp\x12\x0d\x0a\x0b\x0a\x04user\x12\x03ann"
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SHOULD_RATE_LIMIT)
        method(message, timeout=TIMEOUT_S)
    until(lambda: "callgate_oldest_pending_approval_timestamp_seconds 1" in running.get("/metrics"))
    until(lambda: "callgate_oldest_notice_timestamp_seconds{" in running.get("/metrics"))
    return running.get("/metrics")


@pytest.fixture(scope="module")
def found(page: str) -> list[tuple[str, dict[str, str]]]:
    return list(samples(page))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_an_expression_names_is_there(name: str, found: list[tuple[str, dict[str, str]]]) -> None:
    for expression in EXPRESSIONS[name]:
        used = uses(expression)
        labels = set(TARGET_LABELS) | {"le"}
        for selector in used.selectors:
            if selector.name in recorded() | OF_PROMETHEUS:
                continue
            known = [labels for sample, labels in found if sample == selector.name]
            assert known, f"`{selector.name}` has no sample"
            labels |= {label for one in known for label in one}
            assert any(selector.picks(selector.name, one) for one in known), f"{selector} picks none of {known}"
        assert used.labels <= labels, used.labels - labels


def test_every_metric_is_on_the_dashboard(page: str) -> None:
    shown = {selector.name for panel in panels() for query in queries(panel) for selector in uses(query).selectors}
    there = {name for name, _ in samples(page) if name.startswith("callgate_")}
    families = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in there}
    assert len(families) >= 30
    assert sorted(name for name in families if not {name, f"{name}_bucket"} & shown) == []
