"""Names in policies that the server's own list of tools does not have: the log names them, with the nearest."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway.running import gateway
from support.http_server import Handler, serving

if TYPE_CHECKING:
    from pathlib import Path

POLICY = {
    "version": "1",
    "name": "example",
    "default": "deny",
    "hide": ["drop_tabel"],
    "tools": {"read_flie": {}, "write_file": {}, "x_*": {}},
}
NAMES = ["read_file", "write_file", "drop_table"]


class Tools(Handler):
    """Lists `NAMES` and does nothing else; in two pages if the path says so."""

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        names, result = NAMES, dict[str, str]()
        if self.path == "/pages":
            is_first = "cursor" not in message["params"]
            names, result = (NAMES[:2], {"nextCursor": "2"}) if is_first else (NAMES[2:], {})
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": tools, **result}}
        self.answer(200, "application/json", json.dumps(reply))


def names_listed(url: str, cursor: str | None = None) -> list[str]:
    params: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}
    accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    reply = httpx.post(url, json=message, headers=accept, timeout=30).json()
    return [tool["name"] for tool in reply["result"]["tools"]]


@pytest.mark.parametrize("pinning", ["off", "enforce"])
def test_a_name_that_the_server_lacks_is_told_once(tmp_path: Path, pinning: str) -> None:
    with serving(Tools) as port:
        upstream = {"url": f"http://127.0.0.1:{port}/mcp", "pinning": pinning}
        with gateway(tmp_path, {"s": upstream}, POLICY, stderr=subprocess.PIPE) as running:
            for _ in range(2):
                # `hide` did not hide it: this is what the warning is for.
                assert names_listed(running.url("s")) == NAMES
            code, err = running.sidecar.stop()
    lines = [line.split("tool_unlisted ")[1] for line in err.splitlines() if "tool_unlisted" in line]
    assert code == 0
    assert [line.split() for line in sorted(lines)] == [
        ["server=s", "policy=example", "tool=drop_tabel", "nearest=drop_table"],
        ["server=s", "policy=example", "tool=read_flie", "nearest=read_file"],
    ]


def test_a_part_of_a_list_tells_nothing(tmp_path: Path) -> None:
    with serving(Tools) as port:
        upstream = {"url": f"http://127.0.0.1:{port}/pages", "pinning": "off"}
        with gateway(tmp_path, {"s": upstream}, POLICY, stderr=subprocess.PIPE) as running:
            assert names_listed(running.url("s")) == NAMES[:2]
            assert names_listed(running.url("s"), "2") == NAMES[2:]
            code, err = running.sidecar.stop()
    assert (code, "tool_unlisted" in err) == (0, False)
