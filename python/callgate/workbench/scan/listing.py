"""The tools of servers, listed with the MCP client."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import anyio
import httpx2
from mcp import MCPError
from mcp.client import Client
from mcp_types import CONNECTION_CLOSED, METHOD_NOT_FOUND, Implementation

from callgate._callgate import version
from callgate.text import plain_line, quoted, reason_of
from callgate.workbench.scan.capture import Capture, captured
from callgate.workbench.scan.errors import EndedError, ListingError
from callgate.workbench.scan.http import http_transport, sse_transport
from callgate.workbench.scan.secrets import redacted
from callgate.workbench.scan.stdio import Traces, stdio_transport
from callgate.workbench.scan.target import Bounds, HttpTarget, StdioTarget, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from mcp.client._transport import TransportStreams

AT_ONCE: Final = 8
"""Servers that are listed at the same time."""
_OLDER: Final = frozenset({400, 404, 405, 406, 415, 501})
"""Statuses after which the specification tells clients to try the older transport."""
_UNAUTHORIZED: Final = frozenset({401, 403})
_BUSY: Final = frozenset({408, 425, 429})
_STDERR_LINES: Final = 10
_STDERR_CHARACTERS: Final = 400
_MESSAGE_CHARACTERS: Final = 10_000
"""Characters of a server's error that are read: far more than are shown."""
_LOGGERS: Final = ("mcp", "client", "httpx2", "httpcore2")


@dataclass(frozen=True, slots=True)
class Listing:
    """One server's answer to a scan."""

    target: Target
    tools: list[Any] = field(default_factory=list)
    """Definitions exactly as the server sent them; anything may stand here."""
    title: str = ""
    version: str = ""
    protocol: str = ""
    pages: int = 0
    seconds: float = 0.0
    failure: str | None = None
    """The reason for which there is no list."""
    stderr: tuple[str, ...] = ()
    """The last lines that a program wrote to stderr before it failed."""


def list_servers(
    targets: Sequence[Target],
    bounds: Bounds | None = None,
    progress: Callable[[Target, int, int], None] | None = None,
    ended: Callable[[Listing], None] | None = None,
) -> list[Listing]:
    """Lists the tools of several servers, some at the same time; the result has the order of the targets.

    Args:
        targets: The servers. Those over stdio are started, so ask before.
        bounds: Bounds of each of them.
        progress: Called after each page with the number of pages and of tools.
        ended: Called with each result as it comes.
    """
    bounds = bounds or Bounds()
    found: dict[int, Listing] = {}

    async def one(number: int, limiter: anyio.CapacityLimiter) -> None:
        async with limiter:
            found[number] = await list_tools(targets[number], bounds, progress)
            if ended is not None:
                ended(found[number])

    async def every() -> None:
        limiter = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for number in range(len(targets)):
                tasks.start_soon(one, number, limiter)

    with _quiet():
        anyio.run(every)
    return [found[number] for number in range(len(targets))]


async def list_tools(
    target: Target, bounds: Bounds, progress: Callable[[Target, int, int], None] | None = None
) -> Listing:
    """Lists the tools of one server; a failure is part of the result."""
    began = monotonic()
    traces = Traces()
    listing = Listing(target)
    failure: str | None = None
    try:
        with anyio.move_on_after(bounds.seconds) as deadline:
            listing = await _listed(target, bounds, traces, progress)
        if deadline.cancelled_caught:
            failure = f"no whole list after {bounds.seconds:g} s"
    except EndedError:
        failure = f"it {traces.end} before its tools were listed"
    except ListingError as error:
        failure = redacted(str(error), target.secrets())
    listing = replace(listing, seconds=monotonic() - began)
    if failure is None:
        return listing
    return replace(listing, failure=f"{failure}{_strays(traces, target)}", stderr=_last_lines(traces, target))


async def _listed(
    target: Target, bounds: Bounds, traces: Traces, progress: Callable[[Target, int, int], None] | None
) -> Listing:
    if isinstance(target, StdioTarget):
        capture = Capture(bounds)
        return await _converse(target, capture, stdio_transport(target, capture, traces), progress)
    capture = Capture(bounds)
    try:
        return await _converse(target, capture, http_transport(target, capture), progress)
    except ListingError:
        if capture.status not in _OLDER or capture.failure is not None:
            raise
        older = Capture(bounds)
        try:
            return await _converse(target, older, sse_transport(target, older), progress)
        except ListingError:
            if older.failure is not None:
                raise
        raise


async def _converse(
    target: Target,
    capture: Capture,
    transport: AbstractAsyncContextManager[TransportStreams],
    progress: Callable[[Target, int, int], None] | None,
) -> Listing:
    """Connects and lists every page."""
    listing: Listing | None = None
    error: BaseException | None = None
    try:
        with capture.scope:
            client = Client(
                captured(transport, capture),
                client_info=Implementation(name="callgate", version=version()),
                cache=None,
            )
            async with client:
                listing = await _pages(target, client, capture, progress)
    except Exception as raised:  # noqa: BLE001  the SDK raises whatever its libraries do, in groups
        error = _first(raised)
    if capture.failure is not None:
        raise capture.failure
    if listing is not None:
        # What fails when the session ends changes nothing of the list.
        return listing
    raise _failure(error, capture, target)


async def _pages(
    target: Target, client: Client, capture: Capture, progress: Callable[[Target, int, int], None] | None
) -> Listing:
    bounds = capture.bounds
    tools = list[Any]()
    seen = set[str]()
    cursor: str | None = None
    for number in range(1, bounds.pages + 1):
        try:
            await client.list_tools(cursor=cursor)
        except MCPError as error:
            if error.error.code == METHOD_NOT_FOUND and cursor is None and client.server_capabilities.tools is None:
                return _listing(target, client, tools, number)
            raise
        page = capture.page()
        tools += page["tools"]
        if progress is not None:
            progress(target, number, len(tools))
        if len(tools) > bounds.tools:
            message = f"it lists more than {bounds.tools} tools, the most that pinning records"
            raise ListingError(message)
        cursor = page.get("nextCursor")
        if cursor is None:
            return _listing(target, client, tools, number)
        if not isinstance(cursor, str):
            message = "`nextCursor` of its list is no text"
            raise ListingError(message)
        if cursor in seen:
            message = "its list never ends: the same `nextCursor` came twice"
            raise ListingError(message)
        seen.add(cursor)
    message = f"its list has more than {bounds.pages} pages"
    raise ListingError(message)


def _listing(target: Target, client: Client, tools: list[Any], pages: int) -> Listing:
    info = client.server_info
    return Listing(
        target,
        tools,
        title="" if info is None else info.title or info.name,
        version="" if info is None else info.version,
        protocol=client.session.protocol_version or "",
        pages=pages,
    )


def _failure(error: BaseException | None, capture: Capture, target: Target) -> ListingError:
    if isinstance(error, ListingError):
        return error
    return _of_status(capture.status) or _of_error(error, capture.status, target)


def _of_status(status: int | None) -> ListingError | None:
    if status in _UNAUTHORIZED:
        return ListingError(f"it wants authentication (HTTP {status}); scan its URL with --token-file or --header")
    if status is not None and (status in _BUSY or status >= 500):  # noqa: PLR2004  a failure of the server
        return ListingError(f"it answers with HTTP {status}, so it may be down or busy; try again later")
    if status is not None and status >= 400:  # noqa: PLR2004  an error
        return ListingError(f"it answers with HTTP {status}, so this is no endpoint of MCP")
    return None


def _of_error(error: BaseException | None, status: int | None, target: Target) -> ListingError:
    if status is None and isinstance(target, HttpTarget) and isinstance(error, (UnicodeError, OverflowError)):
        return ListingError("no request can be sent to it: its URL or a header field is not valid")
    if isinstance(error, MCPError):
        return _refusal(error.error.code, error.error.message, target)
    return ListingError(_reason(error, target))


def _refusal(code: int, message: str, target: Target) -> ListingError:
    # Servers use this code as well, for errors of their own.
    if code == CONNECTION_CLOSED and message == "Connection closed":
        return EndedError("it ended before its tools were listed")
    # Before it is shortened: a part of a secret would not be recognized. A message may have 16 MiB.
    said = redacted(message[:_MESSAGE_CHARACTERS], target.secrets())
    return ListingError(f"it answers with error {code}: {quoted(plain_line(said))}")


def _reason(error: BaseException | None, target: Target) -> str:
    if isinstance(error, httpx2.ConnectError):
        return f"no connection: {quoted(redacted(reason_of(error), target.secrets()))}"
    if isinstance(error, httpx2.HTTPError):
        return f"HTTP failed: {quoted(redacted(reason_of(error), target.secrets()))}"
    return f"its replies are no MCP that the client understands ({type(error).__name__})"


def _first(error: BaseException) -> BaseException:
    """The error at the beginning of a group."""
    while (inner := getattr(error, "exceptions", None)) is not None:
        error = next((one for one in inner if isinstance(one, ListingError)), inner[0])
    return error


def _strays(traces: Traces, target: Target) -> str:
    """The end of a message: the output that nobody could read, by its first line."""
    number = traces.stray_lines
    if not number:
        return ""
    secrets = target.secrets()
    text = redacted(traces.first_stray.decode(errors="replace"), secrets)
    if traces.is_stray_cut:
        # A secret that goes over the cut was not recognized.
        text = text[: max(0, len(text) - max(map(len, secrets), default=0))]
    shown = quoted(plain_line(text))
    if number == 1:
        return f"; a line of its output is no JSON-RPC message: {shown}"
    return f"; {number:,} lines of its output are no JSON-RPC messages, the first: {shown}"


def _last_lines(traces: Traces, target: Target) -> tuple[str, ...]:
    text = redacted(traces.stderr.text(), target.secrets())
    lines = [plain_line(line)[:_STDERR_CHARACTERS] for line in text.splitlines()]
    return tuple([line for line in lines if line][-_STDERR_LINES:])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the SDK from writing what servers said, and URLs with their secrets, to stderr."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(one, one.level) for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for one, level in before:
            one.setLevel(level)
