"""PEPs: enforcement points that may send requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from callgate.config.fields import Count, Flag, Section, Text, TokenHash


class Pep(Section):
    """An enforcement point: a proxy, gateway or program that requests a decision before it forwards a call."""

    name: Text
    """Its name in logs."""

    token_hash: TokenHash | None = Field(default=None, repr=False)
    """Keyed hash of its token, from `callgate peps create`; it sends the token as `authorization: Bearer`."""

    certificates: list[Text] = Field(default=[])
    """Names (DNS or URI, such as a SPIFFE id) in client certificates that authenticate it; needs `tls.client_ca`."""

    uids: list[Annotated[Count, Field(ge=0, lt=1 << 32)]] = Field(default=[])
    """Unix users that authenticate it on the socket."""

    vouches: Flag = False
    """It may name the grant by its id, because it has authenticated the caller itself."""
