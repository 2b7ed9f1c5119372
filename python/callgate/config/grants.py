"""Grants: callers' labelled credentials."""

from __future__ import annotations

from pydantic import Field

from callgate.config.fields import Flag, Instant, Section, Text, TokenHash


class Grant(Section):
    """A caller's credential; belongs to one server, carries one policy."""

    id: Text
    """Its name in counters, logs and decisions."""

    server: Text
    """The server that it belongs to; a key of `servers`."""

    policy: Text | None = None
    """The policy that decides its calls; a key of `policies`. Without one, every call is denied."""

    token_hash: TokenHash | None = Field(default=None, repr=False)
    """Keyed hash of the caller's token; without one, only a PEP that vouches can name the grant."""

    labels: dict[Text, str] = Field(default={})
    """Facts about the caller that policies can ask for."""

    expires_at: Instant | None = None
    """From when on it is refused (RFC 3339)."""

    revoked: Flag = False
    """Refuse it from now on."""


class GrantsFile(Section):
    """A file of grants."""

    grants: list[Grant]
    """The grants, as in the configuration itself."""
