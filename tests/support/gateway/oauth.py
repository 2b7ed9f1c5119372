"""Calls with the tokens of an issuer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from support.gateway.issuers import Key, bearing, jwks

ACCEPT = {"accept": "application/json, text/event-stream"}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "open", "arguments": {}}}


TEAMS = {
    "version": "1",
    "name": "teams",
    "default": "deny",
    "hide": ["secret"],
    "tools": {
        "open": {"require": [{"conditions": [{"path": "grant.labels.team", "op": "eq", "value": "ops"}]}]},
        "small": {"require": [{"conditions": [{"path": "grant.labels.tenant", "op": "in", "value": ["7"]}]}]},
        "capped": {"limits": [{"counter": "calls", "window": "hour", "max": 2}]},
    },
}


def send(url: str, token: str | None, message: object = CALL, **headers: str) -> httpx.Response:
    sent = {**ACCEPT, **(bearing(token) if token is not None else {})}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(url, json=message, headers=sent, timeout=30)


def file_of(folder: Path, *keys: Key) -> dict[str, Any]:
    (folder / "jwks.json").write_text(json.dumps(jwks(*keys)), encoding="utf-8")
    return {"jwks": {"file": "jwks.json"}}
