"""PEPs: enforcement points that may send requests."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from callgate.config.fields import Count, Flag, Section, Text, TokenHash
from callgate.config.tokens import MOST_TOKENS, Token, in_one_form, token_keywords


class Pep(Section):
    """An enforcement point: a proxy, gateway or program that requests a decision before it forwards a call."""

    name: Text
    """Its name in logs."""

    token_hash: TokenHash | None = Field(default=None, repr=False)
    """Keyed hash of its token, from `callgate peps create`; it sends the token as `authorization: Bearer`."""

    tokens: list[Token] = Field(default=[], max_length=MOST_TOKENS, repr=False)
    """Up to two tokens in place of `token_hash`, so that a new one works before the old one ends."""

    certificates: list[Text] = Field(default=[])
    """Names (DNS or URI, such as a SPIFFE id) in client certificates that authenticate it; needs `tls.client_ca`."""

    uids: list[Annotated[Count, Field(ge=0, lt=1 << 32)]] = Field(default=[])
    """Unix users that authenticate it on the socket."""

    vouches: Flag = False
    """It may name the grant by its id, because it has authenticated the caller itself."""

    @model_validator(mode="after")
    def _one_form(self) -> Pep:
        return in_one_form(self)

    def server_keywords(self) -> dict[str, Any]:
        """The PEP as `Server` takes it."""
        keywords = super().server_keywords()
        for key in ("token_hash", "tokens"):
            del keywords[key]
        return {**keywords, **token_keywords(self)}
