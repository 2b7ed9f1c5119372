"""An agent that is stopped at work: it waits for SIGTERM, makes one more call, and prints its answer."""

import json
import os
import signal
import sys
import urllib.request
from pathlib import Path

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
sys.stdout.write("waiting\n")
sys.stdout.flush()
signal.sigwait([signal.SIGTERM])
token = Path(os.environ["MCP_TOKEN_FILE"]).read_text(encoding="utf-8")
call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "create-ami", "arguments": {}}}
headers = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "authorization": f"Bearer {token}",
}
request = urllib.request.Request(os.environ["MCP_URL"], json.dumps(call).encode(), headers)
with urllib.request.urlopen(request, timeout=30.0) as response:
    sys.stdout.write(response.read().decode())
