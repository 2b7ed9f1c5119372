"""Sources of the caller, the server and the tool in requests of a proxy."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, model_validator

from callgate.config.fields import Flag, Section, Text, one_of
from callgate.text import quoted

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,128}")
_CREDENTIALS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
_PART: Final = re.compile(r"\{server\}|\{tool\}|[A-Za-z0-9._~-]+")
_HOST: Final = re.compile(r"[a-z0-9._-]*[a-z0-9_-]|\[[0-9a-f:.]+\]")


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        message = f"expected the lower-case name of a header, got {quoted(value)}"
        raise ValueError(message)
    if value in _CREDENTIALS:
        message = (
            f"expected a header that names a grant; {quoted(value)} holds a secret (for tokens of grants: `token`)"
        )
        raise ValueError(message)
    if value.startswith("x-callgate-"):
        message = "expected a header of your own; those that begin with `x-callgate-` are callgate's"
        raise ValueError(message)
    return value


def _template(value: str) -> str:
    parts = value.removeprefix("/").split("/")
    if not value.startswith("/") or not all(_PART.fullmatch(part) and part not in {".", ".."} for part in parts):
        parts_are = "whose parts are `{server}`, `{tool}` or letters, digits and `-._~`"
        message = f"expected a path such as `/mcp/{{server}}`, {parts_are}, got {quoted(value)}"
        raise ValueError(message)
    named = [part for part in parts if part.startswith("{")]
    if len(set(named)) != len(named):
        message = f"expected `{{server}}` and `{{tool}}` once at most, got {quoted(value)}"
        raise ValueError(message)
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        message = f"expected a lower-case host without a port, got {quoted(value)}"
        raise ValueError(message)
    return value


HeaderName = Annotated[str, AfterValidator(_header)]
Template = Annotated[str, AfterValidator(_template)]
HostName = Annotated[str, AfterValidator(_host)]


class Plain(str, Enum):
    """A source of the caller that needs no settings."""

    TOKEN = "token"  # noqa: S105  no password, but the word for where one is
    SPIFFE = "spiffe"


class HeaderIdentity(Section):
    """A header that contains a grant's id."""

    header: HeaderName
    """Its name, lower-case. The proxy must set it, and remove what clients send under that name."""


class MetadataPath(Section):
    """A string in Envoy's dynamic metadata."""

    namespace: Text
    """The filter that writes it, such as `envoy.filters.http.jwt_authn`."""

    path: Annotated[list[Text], Field(min_length=1, max_length=16)]
    """Keys from there to the string, such as `[payload, sub]`."""


class MetadataIdentity(Section):
    """Another filter's result, such as a claim of a JWT, that contains a grant's id."""

    metadata: MetadataPath
    """The path of the value."""


class Place(str, Enum):
    """A source of the server that needs no settings."""

    PATH = "path"
    HOST = "host"
    TOKEN = "token"  # noqa: S105  no password, but the word for where one is


class MethodRules(Section):
    """MCP messages other than tool calls that may pass, in addition to those that only read or keep a session."""

    allow: Annotated[list[Text], Field(max_length=1000)] = Field(default=[])
    """Further methods, exact or with `*` and `?`."""

    deny: Annotated[list[Text], Field(max_length=1000)] = Field(default=[])
    """Methods that may not pass, whatever allows them."""

    @model_validator(mode="after")
    def _calls_are_the_policys(self) -> MethodRules:
        if "tools/call" in (*self.allow, *self.deny):
            message = "`tools/call` is judged by the policy; leave it out of `methods`"
            raise ValueError(message)
        return self


class ExtensionPlace(Section):
    """A value in the proxy's own configuration of a route."""

    extension: Text
    """Its name in `context_extensions`."""


class AlwaysPlace(Section):
    """One server, whatever a request says."""

    always: Text
    """Its name."""


Length = Field(min_length=1, max_length=16)
DEFAULT_SERVER: Final[list[Place | ExtensionPlace | AlwaysPlace]] = [
    ExtensionPlace(extension="callgate-server"),
    Place.PATH,
]


_Identity = Annotated[Plain | HeaderIdentity | MetadataIdentity, one_of(Plain, HeaderIdentity, MetadataIdentity)]
_Place = Annotated[Place | ExtensionPlace | AlwaysPlace, one_of(Place, ExtensionPlace, AlwaysPlace)]


class Proxies(Section):
    """Sources of the caller, the server and the tool in requests of a proxy."""

    identity: Annotated[list[_Identity], Length] = Field(default=[Plain.TOKEN])
    """Sources of the caller, in order: the first that a request contains is used."""

    server: Annotated[list[_Place], Length] = Field(default=DEFAULT_SERVER)
    """Sources of the server, in order: the first that a request contains is used. A request without a server is
    refused."""

    hosts: dict[HostName, Text] = Field(default={})
    """Servers by host, for `host`."""

    paths: Annotated[list[Template], Field(max_length=1000)] = Field(default=["/mcp/{server}"])
    """Paths that name a server, a tool, both or nothing; requests for other paths are refused."""

    methods: MethodRules = Field(default_factory=MethodRules)
    """Messages other than tool calls that may pass."""

    tool_errors: Flag = False
    """Answer denied MCP calls with status 200 and a tool result that is an error, which every client shows."""

    mcp_metadata: Text | None = None
    """The metadata in which Envoy's MCP filter describes the body: `envoy.filters.http.mcp`. Without this key, such
    metadata is ignored."""

    @model_validator(mode="after")
    def _sources_have_their_tables(self) -> Proxies:
        if self.hosts and Place.HOST not in self.server:
            message = "`hosts` has no effect without `host` in `server`; add it, or take `hosts` out"
            raise ValueError(message)
        if Place.HOST in self.server and not self.hosts:
            message = "`host` in `server` needs `hosts`, which says which server each one is"
            raise ValueError(message)
        if Place.PATH not in self.server and "paths" in self.model_fields_set:
            named = next((path for path in self.paths if "{server}" in path), None)
            if named:
                message = (
                    f"{quoted(named)} in `paths` has no effect without `path` in `server`; add it, or take the path out"
                )
                raise ValueError(message)
        if Place.PATH in self.server and not any("{server}" in path for path in self.paths):
            message = "`path` in `server` needs a path with `{server}` in `paths`"
            raise ValueError(message)
        return self

    def server_keywords(self) -> dict[str, Any]:
        """The argument `proxies` of `Server`."""
        return {
            "identity": [_identity(source) for source in self.identity],
            "server": [_place(source) for source in self.server],
            "hosts": dict(self.hosts),
            # The default names servers, and is not passed if no source needs paths.
            "paths": list(self.paths) if Place.PATH in self.server or "paths" in self.model_fields_set else [],
            "methods": (list(self.methods.allow), list(self.methods.deny)),
            "tool_errors": self.tool_errors,
            "mcp_metadata": self.mcp_metadata,
        }


def _identity(source: Plain | HeaderIdentity | MetadataIdentity) -> tuple[str, ...]:
    if isinstance(source, HeaderIdentity):
        return ("header", source.header)
    if isinstance(source, MetadataIdentity):
        return ("metadata", source.metadata.namespace, *source.metadata.path)
    return (source.value,)


def _place(source: Place | ExtensionPlace | AlwaysPlace) -> tuple[str, ...]:
    if isinstance(source, ExtensionPlace):
        return ("extension", source.extension)
    if isinstance(source, AlwaysPlace):
        return ("always", source.always)
    return (source.value,)
