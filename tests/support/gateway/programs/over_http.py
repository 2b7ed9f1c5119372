"""A server that is sold for stdio, over streamable HTTP: `over_http.py PORT MODULE NAME [OPTION...]`.

`NAME` is the server's object in the module that has its `main`, which is run as it is, with these options; only what it
asks to run over stdio runs over HTTP. Runs in the server's environment.
"""

from __future__ import annotations

import functools
import importlib
import sys

port, module, name, *options = sys.argv[1:]
program = importlib.import_module(module)
server = getattr(program, name)
at = {"host": "127.0.0.1", "port": int(port)}
if type(server).__module__.startswith("fastmcp"):
    server.run = functools.partial(server.run, transport="http", path="/mcp", **at)
elif hasattr(server.settings, "streamable_http_path"):
    # The SDK's first generation takes its address from settings.
    server.settings.port = int(port)
    server.run = functools.partial(server.run, "streamable-http")
else:
    server.run = functools.partial(server.run, "streamable-http", **at)
sys.argv = [module, *options]
program.main()
