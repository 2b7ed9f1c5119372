"""An MCP server over pipes that does what the word in its command says. It needs nothing but the standard library."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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
    "escapes": [
        {**TOOL, "name": "\x1b[2Jclear\u202e", "description": "<img src=x onerror=alert(1)>\x1b]0;owned\x07\u200b"}
    ],
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


def raw(request: Any, tools_text: str) -> None:
    """A list as text, which no writer of JSON would write."""
    write(f'{{"jsonrpc":"2.0","id":{json.dumps(request["id"])},"result":{{"tools":{tools_text}}}}}')


def on_pages(request: Any, number: int) -> None:
    page = tools(9)[(number - 1) * 3 : number * 3]
    reply(request, {"tools": page, **({"nextCursor": f"after {number}"} if number < 3 else {})})


def on_no_end(_request: Any, _number: int) -> None:
    while True:
        sys.stdout.write("x" * 65536)


def on_floods(_request: Any, _number: int) -> None:
    while True:
        write(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 10_000}}))


def on_error(request: Any, _number: int) -> None:
    error = {"code": -32000, "message": f"no\x1b[31m {os.environ.get('PADDING', '')}{os.environ.get('SECRET', '')}"}
    write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}))


def on_dies(_request: Any, _number: int) -> None:
    sys.stderr.write(f"cannot go on: \x1b[31m{os.environ.get('SECRET', '')} {os.environ.get('HIDDEN', 'unset')}\n")
    sys.exit(3)


NUMBERS = '{"maximum":3.14159265358979323846,"x-big":1e400,"minimum":18446744073709551617}'
DEEP = "[" * 100_000 + "]" * 100_000
ANSWERS: dict[str, Callable[[Any, int], None]] = {
    "endless": lambda request, number: reply(request, {"tools": [], "nextCursor": str(number)}),
    "circle": lambda request, _: reply(request, {"tools": [TOOL], "nextCursor": "again"}),
    "grows": lambda request, number: reply(request, {"tools": tools(1000), "nextCursor": str(number)}),
    "twice": lambda request, _: raw(request, '[{"name":"a","name":"b"}]'),
    "deep": lambda request, _: raw(request, f'[{{"name":"a","inputSchema":{DEEP}}}]'),
    "exact": lambda request, _: raw(request, f'[{{"name":"fine","inputSchema":{NUMBERS}}}]'),
    "no-list": lambda request, _: reply(request, {"tools": {"a": 1}}),
    "cursor": lambda request, _: reply(request, {"tools": [], "nextCursor": 7}),
    "hangs": lambda _request, _: time.sleep(1000),
    "text-ids": lambda request, _: reply(request, {"tools": [TOOL]}, str(request["id"])),
    "pages": on_pages,
    "no-end": on_no_end,
    "floods": on_floods,
    "error": on_error,
    "dies": on_dies,
}


def on_list(request: Any, number: int) -> None:
    if MODE in ANSWERS:
        ANSWERS[MODE](request, number)
    else:
        reply(request, {"tools": LISTS.get(MODE, [TOOL])})


def main() -> None:
    if MODE == "stubborn":
        # Neither it nor what it has started ends by itself.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import signal,time; signal.signal(15, 1); time.sleep(1000)"])
        Path(sys.argv[2]).write_text(f"{os.getpid()} {child.pid}", encoding="utf-8")
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
