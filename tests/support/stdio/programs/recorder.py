"""A server that keeps what it is sent: `recorder.py FILE`. Answers every request, and ends with its input."""

import json
import sys
from pathlib import Path

with Path(sys.argv[1]).open("wb", buffering=0) as kept:
    for line in sys.stdin.buffer:
        kept.write(line)
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict) and "id" in message and "method" in message:
            reply = {"jsonrpc": "2.0", "id": message["id"], "result": {}}
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()
