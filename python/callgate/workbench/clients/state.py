"""Servers of clients that stand behind callgate, and those that do not (shadow servers)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from callgate.workbench.clients.entries import STDIO, UNKNOWN_FORM, Entry
from callgate.workbench.clients.wrapped import connected_url, original_words, wrapped_url
from callgate.workbench.scan.secrets import shown_command, shown_url

if TYPE_CHECKING:
    from collections.abc import Iterable

BEHIND: Final = "behind callgate"
SHADOW: Final = "shadow"
UNKNOWN: Final = "unknown"
USUAL_GATEWAYS: Final = ("http://127.0.0.1:9191", "http://localhost:9191")
"""Addresses of a gateway without a configuration."""


@dataclass(frozen=True, slots=True)
class State:
    """The relation of a client's server to callgate."""

    word: str
    reason: str
    """One sentence."""
    has_hint: bool = False
    """True if the reason says more than the word."""


def state_of(entry: Entry, gateways: Iterable[str]) -> State:
    """The state of a server.

    Args:
        entry: The server of a client.
        gateways: URLs of gateways, without a path.
    """
    known = {_origin(url) for url in gateways}
    if entry.kind == STDIO:
        if original_words(entry.command) is not None:
            return State(BEHIND, "`callgate wrap` starts it")
        url = connected_url(entry.command)
        if url is None:
            return State(SHADOW, "its client starts it directly")
        return _of_url(url, known, "`callgate connect` leads to")
    if not entry.kind:
        return State(UNKNOWN, UNKNOWN_FORM, has_hint=True)
    wrapped = wrapped_url(entry.url)
    if wrapped is not None and _origin(wrapped[0]) not in known:
        # Anybody can write such a URL: only somebody who names the gateway knows that it is one.
        gateway = shown_url(urljoin(wrapped[0], "/")).rstrip("/")
        reason = f"its URL is that of a gateway which is not named; if it is yours, give --gateway {gateway}"
        return State(SHADOW, reason, has_hint=True)
    return _of_url(entry.url, known, "its client asks")


def shown_endpoint(entry: Entry) -> str:
    """The server's own command or URL as people read it, without secrets."""
    if entry.kind == STDIO:
        return shown_command(entry.original_command)
    return shown_url(entry.original_url) if entry.kind else ""


def document_of(entry: Entry, state: State) -> dict[str, Any]:
    """A server as JSON, without secrets."""
    names = sorted((entry.node.get(entry.form.environment) or entry.node).members or {})
    environment = names if entry.node.get(entry.form.environment) is not None else []
    return {
        "client": entry.place.client.name,
        "scope": entry.place.scope,
        "file": str(entry.place.path),
        "path": list(entry.path),
        "server": entry.name,
        "transport": entry.kind,
        "endpoint": shown_endpoint(entry),
        "environment": environment,
        "disabled": entry.is_disabled,
        "state": state.word,
        "reason": state.reason,
    }


def _of_url(url: str, gateways: set[str], verb: str) -> State:
    if _origin(url) in gateways and _is_route(urlsplit(url)):
        return State(BEHIND, f"{verb} a gateway")
    return State(SHADOW, f"{verb} the server directly")


def _is_route(parts: SplitResult) -> bool:
    r"""True for the address of a server at a gateway, as clients understand it.

    They resolve `..` before they ask, and take `\` for `/`: either leads away from the route, and the second may lead
    to another host than the one that is read here.
    """
    first, *others = parts.path.removeprefix("/mcp/").split("/")
    is_plain = "\\" not in parts.netloc + parts.path and not {".", ".."} & {unquote(step) for step in (first, *others)}
    return parts.path.startswith("/mcp/") and first != "" and is_plain


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    host = {"localhost": "127.0.0.1", "::1": "127.0.0.1"}.get(parts.hostname or "", parts.hostname or "")
    return f"{parts.scheme}://{host}:{port or usual}"
