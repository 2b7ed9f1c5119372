"""An MCP server over pipes that does what the word in its command says. It needs nothing but the standard library."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

MODE = sys.argv[1]
TOOL = {"name": "fine", "description": "A fine tool.", "inputSchema": {"type": "object"}}
INFO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "\x1b[31mhostile\x1b[0m<script>", "version": "1"},
}


def write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def reply(request: Any, result: Any, key: Any = None) -> None:
    write(json.dumps({"jsonrpc": "2.0", "id": request["id"] if key is None else key, "result": result}))


def tools(count: int) -> list[Any]:
    return [{**TOOL, "name": f"tool-{number}"} for number in range(count)]


LISTS: dict[str, list[Any]] = {
    "duplicates": [TOOL, {**TOOL, "description": "Another one."}, {**TOOL, "name": "twin"}, {**TOOL, "name": "twin"}],
    "long": [{**TOOL, "description": "d" * 10_000_000}, {**TOOL, "name": "other"}],
    "many": tools(100_000),
    "escapes": [{**TOOL, "name": "\x1b[2Jclear\u202e", "description": "<img src=x onerror=alert(1)>\x1b]0;owned\x07\u200b"}],
    "broken": [
        {**TOOL, "name": "no-schema", "inputSchema": "object"},
        {**TOOL, "name": "bad-type", "inputSchema": {"type": 5}},
        {**TOOL, "name": "elsewhere", "inputSchema": {"$ref": "https://schemas.example/a.json"}},
        {**TOOL, "name": "no-annotations", "annotations": [1]},
        {"description": "without a name"},
        "no object",
        {**TOOL, "name": "halves", "description": "\ud800 half"},
        {**TOOL, "name": "nul\0"},
        TOOL,
    ],
}


def on_list(request: Any, number: int) -> None:
    if MODE in LISTS:
        reply(request, {"tools": LISTS[MODE]})
    elif MODE == "endless":
        reply(request, {"tools": [], "nextCursor": str(number)})
    elif MODE == "circle":
        reply(request, {"tools": [TOOL], "nextCursor": "again"})
    elif MODE == "pages":
        page = tools(9)[(number - 1) * 3 : number * 3]
        reply(request, {"tools": page, **({"nextCursor": f"after {number}"} if number < 3 else {})})
    elif MODE == "grows":
        reply(request, {"tools": tools(1000), "nextCursor": str(number)})
    elif MODE == "no-end":
        while True:
            sys.stdout.write("x" * 65536)
    elif MODE == "floods":
        while True:
            write(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 10_000}}))
    elif MODE == "twice":
        write('{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"a","name":"b"}]}}' % json.dumps(request["id"]))
    elif MODE == "deep":
        schema = "[" * 100_000 + "]" * 100_000
        write('{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"a","inputSchema":%s}]}}' % (request["id"], schema))
    elif MODE == "no-list":
        reply(request, {"tools": {"a": 1}})
    elif MODE == "cursor":
        reply(request, {"tools": [], "nextCursor": 7})
    elif MODE == "error":
        error = {"code": -32000, "message": f"no\x1b[31m {os.environ.get('SECRET', '')}"}
        write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}))
    elif MODE == "dies":
        sys.stderr.write(f"cannot go on: \x1b[31m{os.environ.get('SECRET', '')} {os.environ.get('HIDDEN', 'unset')}\n")
        sys.exit(3)
    elif MODE == "hangs":
        time.sleep(1000)
    elif MODE == "text-ids":
        reply(request, {"tools": [TOOL]}, str(request["id"]))
    elif MODE == "exact":
        write(
            '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"fine","inputSchema":{"maximum":3.14159265358979323846,'
            '"x-big":1e400,"minimum":18446744073709551617}}]}}' % json.dumps(request["id"])
        )
    else:
        reply(request, {"tools": [TOOL]})


def main() -> None:
    if MODE == "stubborn":
        # Neither it nor what it has started ends by itself.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import signal,time; signal.signal(15, 1); time.sleep(1000)"])
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {child.pid}")
    if MODE == "greets":
        write("Welcome to the server!")
        write("{not JSON")
    number = 0
    for line in sys.stdin:
        request = json.loads(line)
        method = request.get("method")
        if method == "initialize":
            reply(request, INFO)
        elif method == "tools/list":
            number += 1
            on_list(request, number)
        elif "id" in request and MODE != "silent":
            error = {"code": -32601, "message": "method not found"}
            write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}))
    if MODE == "stubborn":
        time.sleep(1000)


main()
