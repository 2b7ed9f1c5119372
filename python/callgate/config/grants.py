"""Grants: callers' labelled credentials."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Final

from pydantic import Field

from callgate.config.fields import Flag, Instant, Section, Text, TokenHash

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Grant(Section):
    """A caller's credential; belongs to one server, has one policy."""

    id: Text
    """Id of the grant in counters, logs and decisions."""

    server: Text
    """The grant's server; a key of `servers`."""

    policy: Text | None = None
    """The policy that decides its calls; a key of `policies`. Without one, every call is denied."""

    token_hash: TokenHash | None = Field(default=None, repr=False)
    """Keyed hash of the caller's token; without one, only a PEP that vouches can name the grant."""

    labels: dict[Text, str] = Field(default={})
    """Facts about the caller for use in policies."""

    expires_at: Instant | None = None
    """Expiry time (RFC 3339); later calls are refused."""

    revoked: Flag = False
    """Refuse its calls from now on."""

    def server_keywords(self) -> dict[str, Any]:
        """The grant as `Engine.from_config` takes it."""
        keywords = super().server_keywords()
        expires_at = keywords.pop("expires_at")
        expires_at_us = None if expires_at is None else (expires_at - _EPOCH) // timedelta(microseconds=1)
        return {**keywords, "expires_at_us": expires_at_us}


class GrantsFile(Section):
    """A file of grants."""

    grants: list[Grant]
    """The grants, as in the configuration itself."""
