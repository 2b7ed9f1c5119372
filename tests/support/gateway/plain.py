"""nginx as a plain proxy, the measure of other proxies."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.gateway.environments import bare_environment
from support.gateway.servers import listening
from support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = "proxy_pass_header X-Accel-Buffering;"
"""Forwards a header of answers that nginx would remove."""
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr error;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {url};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      {further}
      proxy_read_timeout 60s;
    }}
  }}
}}
"""


@contextmanager
def plain_proxy(url: str, *further: str) -> Iterator[str]:
    """nginx in front of the server at this address; gives nginx's address. `further` directives may change traffic."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed (Debian: nginx)")
    upstream, _, path = url.partition("/mcp")
    assert not path
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "nginx.conf"
        directives = " ".join([KEPT, *further])
        text = CONFIGURATION.format(folder=folder, port=port, url=upstream, further=directives)
        configuration.write_text(text)
        words = [program, "-e", "stderr", "-p", folder, "-c", str(configuration)]
        with listening(words, port, bare_environment()):
            yield f"http://127.0.0.1:{port}/mcp"
