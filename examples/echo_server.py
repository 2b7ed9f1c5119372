"""The smallest MCP server over pipes: it answers every call with its tool's name. For trying `callgate wrap`."""

import json
import sys

for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        text = f"{message.get('params', {}).get('name')} was called"
        result = {"content": [{"type": "text", "text": text}]}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}) + "\n")
        sys.stdout.flush()
