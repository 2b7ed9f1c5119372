"""A server in uvicorn that answers every call with how often it has met it, and closes idle connections after a second.

python kept.py PORT
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import uvicorn

MET: Counter[int] = Counter()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Any POST is a call."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    identifier = json.loads(body)["id"]
    MET[identifier] += 1
    result = {"content": [{"type": "text", "text": str(MET[identifier])}]}
    reply = json.dumps({"jsonrpc": "2.0", "id": identifier, "result": result}).encode()
    fields = [(b"content-type", b"application/json"), (b"content-length", str(len(reply)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": reply})


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), timeout_keep_alive=1, log_level="warning")
