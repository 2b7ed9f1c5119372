"""Failures of scans."""

from __future__ import annotations

from callgate.errors import ConfigError, TransientError


class ListingError(TransientError):
    """A server's tools could not be listed; the message says what the server did."""


class EndedError(ListingError):
    """A server ended, or closed its output, before its tools were listed."""


class MissingSdkError(ConfigError):
    """The MCP client is not installed."""


def require_sdk() -> None:
    """Refuses to go on without the MCP client, which few installations need.

    Raises:
        MissingSdkError: It is not installed, or too old.
    """
    message = "`callgate scan` needs an MCP client; install it with `pip install 'callgate[scan]'`"
    try:
        from mcp.client import Client  # noqa: F401, PLC0415  imported only when a scan needs it
    except ImportError:
        raise MissingSdkError(message) from None
