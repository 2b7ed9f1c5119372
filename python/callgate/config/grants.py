"""Grants: callers' labelled credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from callgate.config.fields import Flag, Instant, Section, Text, TokenHash, with_meanings
from callgate.config.oauth import is_issuer
from callgate.config.tokens import MOST_TOKENS, Token, in_one_form, token_keywords, unix_us
from callgate.store.issuers import LOCAL_ISSUER
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping


def _issuer_of_person(value: str) -> str:
    if value != LOCAL_ISSUER and not is_issuer(value):
        message = (
            "expected the URL that tokens have as `iss`, such as `https://login.example.com`, or "
            f"`{LOCAL_ISSUER}` for a person of callgate's own store, got {quoted(value)}"
        )
        raise ValueError(message)
    return value


class Owner(Section):
    """A person, as an issuer of tokens or callgate's own store names them."""

    issuer: Annotated[str, AfterValidator(_issuer_of_person)]
    """URL of the issuer, the `iss` of the person's tokens; `local` for a person of callgate's own store."""

    subject: Text
    """The person's name at the issuer, the `sub` of these tokens; in the store, the name of the person."""


def _with_servers(schema: dict[str, Any], section: type[BaseModel]) -> None:
    with_meanings(schema, section)
    schema["anyOf"] = [{"required": ["server"]}, {"required": ["servers"]}]


class Grant(Section):
    """A caller's credential, for one server or for several, with a policy for each."""

    model_config = ConfigDict(json_schema_extra=_with_servers)

    id: Text
    """Id of the grant in counters, logs and decisions."""

    server: Text | None = None
    """The grant's server, a key of `servers`; calls with the grant's token need not name it."""

    policy: Text | None = None
    """The policy that decides its calls; a key of `policies`. Without one, every call is denied."""

    servers: dict[Text, Text] = Field(default={})
    """Several servers, each with its policy, in place of `server` and `policy`; every call names its server."""

    token_hash: TokenHash | None = Field(default=None, repr=False)
    """Keyed hash of the caller's token; without one, only a PEP that vouches can name the grant."""

    tokens: list[Token] = Field(default=[], max_length=MOST_TOKENS, repr=False)
    """Up to two tokens in place of `token_hash`, so that a new one works before the old one ends."""

    labels: dict[Text, str] = Field(default={})
    """Facts about the caller for use in policies."""

    owner: Owner | None = None
    """The person to whom the grant belongs."""

    expires_at: Instant | None = None
    """Expiry time (RFC 3339); later calls are refused."""

    revoked: Flag = False
    """Refuse its calls from now on."""

    @model_validator(mode="after")
    def _one_form(self) -> Grant:
        if self.servers and (self.server is not None or self.policy is not None):
            other = "server" if self.server is not None else "policy"
            message = f"`servers` gives each server its policy, and `{other}` is given as well; keep `servers` alone"
            raise ValueError(message)
        if not self.servers and self.server is None:
            message = "the key `server` is missing; `servers` lists several"
            raise ValueError(message)
        return in_one_form(self)

    def places(self) -> Mapping[str, str | None]:
        """The policies by server."""
        return self.servers if self.server is None else {self.server: self.policy}

    def server_keywords(self) -> dict[str, Any]:
        """The grant as `Engine.from_config` takes it."""
        keywords = super().server_keywords()
        for key in ("token_hash", "tokens", "expires_at", "owner"):
            del keywords[key]
        for key in ("server", "policy") if self.servers else ("servers",):
            del keywords[key]
        return {**keywords, **token_keywords(self), "expires_at_us": unix_us(self.expires_at)}


class GrantsFile(Section):
    """A file of grants."""

    grants: list[Grant]
    """The grants, as in the configuration itself."""
