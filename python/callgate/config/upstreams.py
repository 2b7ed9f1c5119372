"""Where MCP servers are that callgate itself stands before, and what the gateway lets pass."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from callgate.config.fields import Count, Duration, FilePath, Flag, Section, Size, Text, within
from callgate.config.oauth import Issuers, listed
from callgate.config.proxies import MethodRules
from callgate.text import quoted

_FIELD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,128}")
_FRAMING: Final = frozenset({"connection", "content-length", "host", "te", "transfer-encoding", "upgrade"})
_URL: Final = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?(\?[^#\s]*)?")
_BASE: Final = re.compile(r"https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")

_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://([A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_USUAL_PORT: Final = {"http": ":80", "https": ":443"}
"""Left out of origins by browsers."""


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
    """Where a server may be.

    Raises:
        ValueError: Nowhere; nothing of it is shown, as somebody may have written a password there.
    """
    if not _URL.fullmatch(value):
        message = (
            "expected a URL such as `https://mcp.example.com/mcp`, without user, password and fragment "
            "(what proves who asks: `headers`)"
        )
        raise ValueError(message)
    return value


def _base(value: str) -> str:
    if not _BASE.fullmatch(value):
        message = f"expected a URL without a path, such as `https://callgate.example.com`, got {quoted(value)}"
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
    """The file that holds it; white space around it does not count."""

    env: Text | None = None
    """The environment variable that holds it, read at the start."""

    prefix: str = ""
    """What stands before it, such as `Bearer ` with its space."""

    @model_validator(mode="after")
    def _one_source(self) -> HeaderValue:
        if (self.file is None) == (self.env is None):
            message = "expected either `file` or `env`"
            raise ValueError(message)
        return self


class Pinning(str, Enum):
    """What is done about tools that are not those that were accepted."""

    OFF = "off"
    REPORT = "report"
    ENFORCE = "enforce"


class PinningTimes(Section):
    """Time in which first lists of tools are accepted."""

    first_lists: Annotated[Duration, within(timedelta(), timedelta(days=30))] = timedelta(hours=24)
    """How long after a server's first whole list those of further variants of clients (another protocol version, other
    declared capabilities) are accepted; `0s` for none. A time that is over stays over."""


def first_lists_s(length: timedelta) -> int:
    """The length in whole seconds, as the data plane counts it."""
    return length // timedelta(seconds=1)


class Upstream(Section):
    """Where an MCP server is, and its bounds."""

    url: Annotated[str, AfterValidator(endpoint_url)]
    """Its endpoint, such as `https://mcp.example.com/mcp`."""

    ca: FilePath | None = None
    """PEM file of the authorities that are believed instead of the system's."""

    headers: dict[Annotated[str, AfterValidator(_field)], HeaderValue] = Field(default={})
    """Headers sent with every request: what the server knows callgate by. Callers' own tokens never go on."""

    allow_link_local: Flag = False
    """Connect to link-local addresses and to clouds' metadata services."""

    connect_timeout: Annotated[Duration, within(timedelta(milliseconds=10), timedelta(minutes=5))] = timedelta(
        seconds=5
    )
    """How long a connection may take."""

    answer_timeout: Annotated[Duration, within(timedelta(milliseconds=10), timedelta(hours=24))] = timedelta(minutes=5)
    """How long a reply may take to begin."""

    max_requests: Annotated[Count, Field(ge=1, le=1_000_000)] = 1024
    """Requests open at once, streams included; more are refused."""

    max_requests_per_grant: Annotated[Count, Field(ge=1, le=1_000_000)] | None = None
    """Requests that one grant may have open of those; a quarter of them, and at least 4, where nothing is said. Without
    grants it means nothing."""

    max_idle_connections: Annotated[Count, Field(ge=0, le=100_000)] = 64
    """Connections that are kept for later requests."""

    idle_timeout: Annotated[Duration, within(timedelta(milliseconds=10), timedelta(minutes=5))] = timedelta(seconds=4)
    """How long a connection that nobody uses is kept, where the server does not say it by `Keep-Alive: timeout`."""

    list_limit_bytes: Annotated[Size, Field(ge=1024, le=1 << 30)] = 16 << 20
    """Largest list of tools, or event of a stream that may hold one, after decompression."""

    pinning: Pinning = Pinning.ENFORCE
    """Tools that are not those that were accepted: `enforce` denies and hides them, `report` logs them, `off` takes no
    note."""


class Listed(str, Enum):
    """What lists of tools name."""

    ALL = "all"
    ALLOWED_ONLY = "allowed_only"


_Origins = list[Annotated[str, AfterValidator(_origin)]]
"""Beside a class whose key `list` hides the type of that name."""


class Gateway(Section):
    """What the gateway lets pass, and where its clients find it."""

    methods: MethodRules = Field(default_factory=MethodRules)
    """Which messages that call no tool may pass."""

    list: Listed = Listed.ALL
    """What lists of tools name: `all` but hidden ones, or those alone of which the caller could be allowed a call."""

    public_url: Annotated[str, AfterValidator(_base)] | None = None
    """Where clients reach the gateway, if not by the host that they name: `https://callgate.example.com`. Its host is
    allowed as those of `allowed_hosts` are; another host takes a restart."""

    allowed_origins: _Origins = Field(default=[])
    """Origins of web pages whose scripts may use the gateway (CORS): `http://localhost:6274`. None by default."""

    oauth: Issuers = None
    """An issuer of OAuth tokens that callers may bear in place of a grant's, or a list of issuers; none where this is
    not given."""

    @model_validator(mode="after")
    def _tokens_are_for_somebody(self) -> Gateway:
        if self.public_url is None and any(issuer.audience is None for _, issuer in listed(self.oauth)):
            message = (
                "`oauth` needs `audience`, which says for whom tokens are, or `public_url`, from which that follows: "
                "else tokens for anybody would be taken"
            )
            raise ValueError(message)
        return self
