"""A small MCP server over pipes, which lists the tools of a file: for trying `callgate scan`."""

import json
import pathlib
import sys

INFO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "images", "title": "Machine images", "version": "1.2.0"},
}

for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "initialize":
        answer["result"] = INFO
    elif message["method"] == "tools/list":
        answer["result"] = {"tools": json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))}
    elif message["method"] == "tools/call":
        answer["result"] = {"content": [{"type": "text", "text": f"{message['params']['name']} was called"}]}
    else:
        answer["error"] = {"code": -32601, "message": "method not found"}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
