"""Endpoints of MCP servers behind the gateway, and the rules of the gateway."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from callgate.config.fields import Count, Duration, FilePath, Flag, Section, Size, Text, public_base, within
from callgate.config.oauth import Issuers, listed
from callgate.config.proxies import MethodRules
from callgate.text import quoted

_FIELD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,128}")
_FRAMING: Final = frozenset({"connection", "content-length", "host", "te", "transfer-encoding", "upgrade"})
_URL: Final = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?(\?[^#\s]*)?")

_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://([A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_USUAL_PORT: Final = {"http": ":80", "https": ":443"}
"""Default ports, which browsers leave out of origins."""


def _field(value: str) -> str:
    if not _FIELD.fullmatch(value):
        message = f"expected the lower-case name of a header, got {quoted(value)}"
        raise ValueError(message)
    if value in _FRAMING:
        message = f"{quoted(value)} belongs to the connection; it cannot be set"
        raise ValueError(message)
    if value.startswith("mcp-"):
        message = f"{quoted(value)} belongs to each request of a client; it cannot be set"
        raise ValueError(message)
    return value


def endpoint_url(value: str) -> str:
    """The URL of a server.

    Raises:
        ValueError: It is not valid; the message does not show it, because it may contain a password.
    """
    if not _URL.fullmatch(value):
        message = (
            "expected a URL such as `https://mcp.example.com/mcp`, without user, password and fragment "
            "(credentials go into `headers`)"
        )
        raise ValueError(message)
    return value


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        message = (
            "expected the origin of a page as browsers send it, such as `http://localhost:6274`, without a path; "
            f"one that stands for all does not exist here, got {quoted(value)}"
        )
        raise ValueError(message)
    return value.lower().removesuffix(_USUAL_PORT.get(value.lower().partition(":")[0], "/"))


class HeaderValue(Section):
    """A secret for a header: from a file or from the environment."""

    file: FilePath | None = None
    """The file that contains it; white space around it is ignored."""

    env: Text | None = None
    """The environment variable that contains it, read at the start."""

    prefix: str = ""
    """Text before it, such as `Bearer ` with its space."""

    @model_validator(mode="after")
    def _one_source(self) -> HeaderValue:
        if (self.file is None) == (self.env is None):
            message = "expected either `file` or `env`"
            raise ValueError(message)
        return self


class Pinning(str, Enum):
    """The treatment of tools that differ from the accepted ones."""

    OFF = "off"
    REPORT = "report"
    ENFORCE = "enforce"


class PinningTimes(Section):
    """Time in which first lists of tools are accepted."""

    first_lists: Annotated[Duration, within(timedelta(), timedelta(days=30))] = timedelta(hours=24)
    """Time after a server's first complete list in which first lists of other variants of clients (another protocol
    version, other declared capabilities) are accepted; `0s` for none. Once it is over, it stays over."""


def first_lists_s(length: timedelta) -> int:
    """The time in whole seconds, as the data plane takes it."""
    return length // timedelta(seconds=1)


class Upstream(Section):
    """The endpoint of an MCP server, and its bounds."""

    url: Annotated[str, AfterValidator(endpoint_url)]
    """URL of the endpoint, such as `https://mcp.example.com/mcp`."""

    ca: FilePath | None = None
    """PEM file of the authorities that are trusted in place of the system's."""

    headers: dict[Annotated[str, AfterValidator(_field)], HeaderValue] = Field(default={})
    """Headers of every request, by which the server authenticates callgate. Callers' own tokens are never forwarded."""

    allow_link_local: Flag = False
    """Allow connections to link-local addresses and to the metadata services of clouds."""

    connect_timeout: Annotated[Duration, within(timedelta(milliseconds=10), timedelta(minutes=5))] = timedelta(
        seconds=5
    )
    """Longest time to open a connection."""

    answer_timeout: Annotated[Duration, within(timedelta(milliseconds=10), timedelta(hours=24))] = timedelta(minutes=5)
    """Longest time until a reply begins."""

    max_requests: Annotated[Count, Field(ge=1, le=1_000_000)] = 1024
    """Requests open at once, streams included; more are refused."""

    max_requests_per_grant: Annotated[Count, Field(ge=1, le=1_000_000)] | None = None
    """Highest number of those requests for one grant; by default a quarter of them, and at least 4. Has no effect
    without grants."""

    max_idle_connections: Annotated[Count, Field(ge=0, le=100_000)] = 64
    """Connections that are kept for later requests."""

    idle_timeout: Annotated[Duration, within(timedelta(milliseconds=10), timedelta(minutes=5))] = timedelta(seconds=4)
    """Time that an unused connection is kept, unless the server sets it by `Keep-Alive: timeout`."""

    list_limit_bytes: Annotated[Size, Field(ge=1024, le=1 << 30)] = 16 << 20
    """Largest list of tools, or event of a stream that may hold one, after decompression."""

    probe: Flag = True
    """Ask the server at the start and every 30 s whether it answers as an MCP server; the log and `/readyz` name one
    that does not."""

    pinning: Pinning = Pinning.ENFORCE
    """Treatment of tools that differ from the accepted ones: `enforce` denies and hides them, `report` logs them, `off`
    ignores them."""


class Listed(str, Enum):
    """Contents of lists of tools."""

    ALL = "all"
    ALLOWED_ONLY = "allowed_only"


_Origins = list[Annotated[str, AfterValidator(_origin)]]
"""Defined outside a class whose key `list` hides the type of that name."""


class Gateway(Section):
    """The rules of the gateway, and its address for clients."""

    methods: MethodRules = Field(default_factory=MethodRules)
    """Messages other than tool calls that may pass."""

    list: Listed = Listed.ALL
    """Contents of lists of tools: `all` without hidden ones, or only those of which the caller could be allowed a
    call."""

    public_url: Annotated[str, AfterValidator(public_base)] | None = None
    """URL of the gateway for clients, if it differs from the host that they name: `https://callgate.example.com`. Its
    host is allowed like those of `allowed_hosts`; a change of the host takes a restart."""

    allowed_origins: _Origins = Field(default=[])
    """Origins of web pages whose scripts may use the gateway (CORS): `http://localhost:6274`. None by default."""

    oauth: Issuers = None
    """An issuer of OAuth tokens that callers may send in place of a grant's token, or a list of issuers; none by
    default."""

    @model_validator(mode="after")
    def _tokens_are_for_somebody(self) -> Gateway:
        if self.public_url is None and any(issuer.audience is None for _, issuer in listed(self.oauth)):
            message = (
                "`oauth` needs `audience`, which says for whom tokens are, or `public_url`, from which that follows: "
                "else tokens for anybody would be taken"
            )
            raise ValueError(message)
        return self
