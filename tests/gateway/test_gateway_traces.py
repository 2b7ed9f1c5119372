"""The trace context of clients: on to the server, and into the decision log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from support.gateway.faulty import faulty_server
from support.gateway.running import gateway
from support.proxies.envoy import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CASES = json.loads((ROOT / "tests" / "cases" / "traceparents.json").read_text(encoding="utf-8"))
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def call(url: str, tool: str, headers: dict[str, str], meta: dict[str, Any]) -> None:
    """One call of a tool."""
    params = {"name": tool, "arguments": {}, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    accept = {"accept": "application/json, text/event-stream"}
    answer = httpx.post(url, json=message, headers={**accept, **headers}, timeout=30)
    assert answer.status_code == 200, answer.text


def test_a_trace_goes_on_and_into_the_log(tmp_path: Path) -> None:
    log = tmp_path / "decisions.jsonl"
    policy = {"version": "1", "name": "p", "default": "allow"}
    sent: dict[str, tuple[str | None, str | None]] = {}
    logged: dict[str, str | None] = {}
    with (
        faulty_server() as server,
        gateway(tmp_path, {"s": server.url}, policy, audit={"path": str(log)}) as running,
    ):
        for case in CASES:
            value, name = case["traceparent"], case["name"]
            valid = value if case["is_valid"] else None
            state = "a=1,b=2"
            call(running.url("s"), f"{name} in meta", {}, {"traceparent": value, "tracestate": state})
            sent[f"{name} in meta"] = (valid, state if valid else None)
            logged[f"{name} in meta"] = valid
            if any(character in value for character in "\r\n\0"):
                continue
            header = {"traceparent": value}
            call(running.url("s"), f"{name} in both", header, {"traceparent": OTHER, "tracestate": state})
            sent[f"{name} in both"] = (value, None)
            logged[f"{name} in both"] = valid or OTHER
        call(running.url("s"), "state", {"traceparent": OTHER, "tracestate": "c=3"}, {"tracestate": "a=1"})
        sent["state"], logged["state"] = (OTHER, "c=3"), OTHER
        call(running.url("s"), "hostile state", {}, {"traceparent": OTHER, "tracestate": "a=1\r\nx: y"})
        sent["hostile state"], logged["hostile state"] = (OTHER, None), OTHER
        seen = {
            request.message["params"]["name"]: (request.header("traceparent"), request.header("tracestate"))
            for request in server.asked("tools/call")
        }
        # At the end of the sidecar every line is written.
        running.sidecar.stop()
    assert seen == sent
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert {line["tool"]: line.get("traceparent") for line in lines} == logged


def test_a_trace_goes_on_without_a_log(tmp_path: Path) -> None:
    policy = {"version": "1", "name": "p", "default": "allow"}
    own, meta = {"traceparent": "not valid", "tracestate": "c=3"}, {"traceparent": OTHER, "tracestate": "a=1"}
    with faulty_server() as server, gateway(tmp_path, {"s": server.url}, policy) as running:
        call(running.url("s"), "header", own, {})
        call(running.url("s"), "meta", {}, meta)
        call(running.url("s"), "both", own, meta)
        call(running.url("s"), "none", {}, {})
        seen = {
            request.message["params"]["name"]: (
                request.header("traceparent"),
                request.header("tracestate"),
                request.message["params"]["_meta"],
            )
            for request in server.asked("tools/call")
        }
    assert seen == {
        "header": ("not valid", "c=3", {}),
        "meta": (OTHER, "a=1", meta),
        "both": ("not valid", "c=3", meta),
        "none": (None, None, {}),
    }
