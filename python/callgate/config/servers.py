"""Servers whose tools are called."""

from __future__ import annotations

from callgate.config.fields import Section, Text
from callgate.config.upstreams import Upstream


class Server(Section):
    """A named MCP server, or any upstream that offers tools."""

    policy: Text | None = None
    """The policy for callers without a grant: every caller if no grants are configured, and OAuth subjects that no
    grant names; a key of `policies`."""

    candidate: Text | None = None
    """The policy that is weighed beside `policy` and decides nothing; a key of `policies`."""

    upstream: Upstream | None = None
    """Endpoint of the server for the gateway: clients reach it as `/mcp/<name>` on the decision port."""
