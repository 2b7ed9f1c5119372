"""An MCP server that notes its calls, for tests of approvals."""

from __future__ import annotations

from support.proxies.mcp import served

__all__ = ["served"]
